"""The names of the programs' steps."""

import json
from typing import Any
from uuid import UUID

import pytest

from core.dynamodb.statements import Statement, Statements
from core.model.request import Failure, new_request
from harness.aws_proxy import ProxiedCall
from harness.outcomes import image_record
from robustness.faults.steps import steps_of

STATEMENTS = Statements("t1-requests", "t1-images")
REQUEST = new_request(
    request_id=str(UUID(int=1)), customer_id="c", url="http://a.example/1", labels={}, now=1
)


def call(service: str, operation: str, **members: Any) -> ProxiedCall:
    return ProxiedCall(operation, json.dumps(members).encode(), service)


@pytest.mark.parametrize(
    ("statement", "name"),
    [
        (STATEMENTS.insert_request(REQUEST), "insert requests"),
        (STATEMENTS.insert_image(image_record(REQUEST.request_id)), "insert images"),
        (STATEMENTS.complete("id", 1, customer_id="c", image_id="i", now=1), "complete"),
        (STATEMENTS.fail("id", 1, customer_id="c", failure=Failure("INTERNAL", ""), now=1), "fail"),
        (STATEMENTS.count_death(REQUEST, "r"), "count death"),
        (STATEMENTS.touch(REQUEST, now=1), "touch"),
        (STATEMENTS.claim(REQUEST, now=1), "claim"),
    ],
)
def test_each_write_is_a_step(statement: Statement, name: str) -> None:
    """A change of the statements must not hide a step."""
    batch = call(
        "dynamodb", "BatchExecuteStatement", Statements=[{"Statement": statement.text}] * 2
    )
    assert steps_of(batch) == [f"dynamodb BatchExecuteStatement {name}"]


@pytest.mark.parametrize(
    ("made", "name"),
    [
        (call("dynamodb", "UpdateItem", TableName="t1-requests"), "dynamodb UpdateItem requests"),
        (
            call("dynamodb", "Query", TableName="t1-requests", IndexName="byCustomer"),
            "dynamodb Query requests byCustomer",
        ),
        (
            call("sqs", "SendMessageBatch", QueueUrl="http://h/0/t1-dead-letters"),
            "sqs SendMessageBatch failed-requests",
        ),
        (ProxiedCall("PublishBatch", b"Action=PublishBatch", "sns"), "sns PublishBatch"),
        (ProxiedCall("PUT", b"\xff", "s3"), "s3 PUT"),
    ],
)
def test_a_step_names_table_index_or_queue(made: ProxiedCall, name: str) -> None:
    assert steps_of(made) == [name]
