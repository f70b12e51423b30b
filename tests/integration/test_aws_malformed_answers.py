"""A malformed answer of AWS is an outage, for every operation that the system calls."""

import ast
import asyncio
import json
import uuid
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import botocore.session
import pytest

import consumer
import core
import server
from consumer.jobs.reconcile import measured_age_s
from consumer.notify.notifier import Notifier
from consumer.notify.outcome import outcome_of
from consumer.notify.request_log import RequestLog
from consumer.worker.storage import ImageStorage
from core.aws.client import Aws
from core.aws.sqs import SqsQueue
from core.dynamodb.index_query import BY_CUSTOMER, TimeRange
from core.dynamodb.scan import ImageScan, scan
from core.dynamodb.schema import new_request_item
from core.dynamodb.statements import Statements
from core.dynamodb.tables import Tables
from core.errors import DependencyUnavailable
from core.model.request import new_request
from harness.fake_aws import FakeAnswer, FakeAws
from harness.malformed import malformed
from harness.outcomes import image_record

REQUESTS = [
    new_request(request_id=str(uuid.uuid4()), customer_id="acme", url="u", labels={}, now=1)
    for _ in range(2)
]
ROWS = [new_request_item(request, shards=1) for request in REQUESTS]
INDEX_ROW = {"createdAt": {"N": "1"}, "requestId": {"S": "a"}}
RECEIVED_ATTRIBUTES = {"ApproximateReceiveCount": "1", "SentTimestamp": "1"}
RECEIVED = {
    "MessageId": "m",
    "ReceiptHandle": "r",
    "Body": "b",
    "Attributes": RECEIVED_ATTRIBUTES,
}
TAKEN = {"Successful": [{"Id": "0"}, {"Id": "1"}]}
EXPIRED = {"Id": "1", "Code": "ReceiptHandleIsInvalid", "SenderFault": True, "Message": "expired"}
NOT_TAKEN: tuple[Any, ...] = (
    {},
    {"Successful": [], "Failed": []},
    {"Successful": [{"Id": "0"}, {"Id": "2"}]},
    {"Successful": [{"Id": "0"}, {"Id": "1"}], "Failed": [EXPIRED]},
)


def tables(aws: Aws) -> Tables:
    return Tables(aws.http.dynamodb, Statements("requests", "images"))


def queue(aws: Aws) -> SqsQueue:
    return SqsQueue(aws.http.sqs, "queue")


async def insert(aws: Aws) -> None:
    writer = tables(aws)
    inserts = map(writer.statements.insert_request, REQUESTS)
    await asyncio.gather(*map(writer.write, inserts))


async def read(aws: Aws) -> None:
    reader = tables(aws)
    await asyncio.gather(*(reader.read_request(each.request_id) for each in REQUESTS))


async def read_statuses(aws: Aws) -> None:
    await tables(aws).read_statuses([each.request_id for each in REQUESTS])


async def query(aws: Aws) -> None:
    await tables(aws).query(BY_CUSTOMER, "acme#0", TimeRange(0, 9), after=None, limit=2)


async def scan_page(aws: Aws) -> None:
    await scan(aws.http.dynamodb, {"TableName": "images", "Limit": 2})


async def count(aws: Aws) -> None:
    await ImageScan(aws.http.dynamodb, "images", segments=1, rate=1).count()


async def reopen(aws: Aws) -> None:
    await tables(aws).reopen("a", 2, now=1)


async def send(aws: Aws) -> None:
    sender = queue(aws)
    await asyncio.gather(sender.send("a", group=""), sender.send("b", group=""))


async def delete(aws: Aws) -> None:
    deleter = queue(aws)
    await asyncio.gather(deleter.delete("a"), deleter.delete("b"))


async def change_visibility(aws: Aws) -> None:
    for error in await queue(aws).change_visibility(["a", "b"], 1):
        raise DependencyUnavailable(str(error))


async def receive(aws: Aws) -> None:
    await queue(aws).receive(1, wait=0)


async def attributes(aws: Aws) -> None:
    await queue(aws).attributes("VisibilityTimeout", optional=("MessageRetentionPeriod",))


async def publish(aws: Aws) -> None:
    log = RequestLog(b"secret")
    notifier = Notifier(aws.http.sns, "topic", "", queue(aws), request_log=log)
    outcomes = [replace(outcome_of(each, None), image=image_record("a" * 32)) for each in REQUESTS]
    await asyncio.gather(*map(notifier.notify, outcomes))


async def put(aws: Aws) -> None:
    storage = ImageStorage(aws.http.bucket("images"), "images", b"secret")
    await storage.store(
        b"", customer_id="acme", sha256="0" * 64, extension="png", media_type="image/png"
    )


async def get(aws: Aws) -> None:
    storage = ImageStorage(aws.http.bucket("images"), "images", b"secret")
    await storage.load(image_record("a" * 32))


async def measure(aws: Aws) -> None:
    await measured_age_s(aws, "queue")


@dataclass(frozen=True, slots=True)
class Operation:
    """`call` accepts the answer `valid`, and must accept none of `refused`, which have descriptions."""

    name: str
    call: Callable[[Aws], Awaitable[None]]
    valid: FakeAnswer
    refused: Sequence[tuple[str, FakeAnswer]]


def operation(
    name: str, call: Callable[[Aws], Awaitable[None]], valid: Any, *others: Any, **options: Any
) -> Operation:
    """Return an operation with JSON answers. `others` must not be accepted either; `options` are for `malformed`."""
    answers = [*malformed(valid, **options), *((json.dumps(each), each) for each in others)]
    refused = [(text, json_answer(answer)) for text, answer in answers]
    return Operation(name, call, json_answer(valid), [*refused, ("HTML", HTML)])


def json_answer(answer: Any) -> FakeAnswer:
    return FakeAnswer(body=json.dumps(answer).encode())


def published(result: str) -> FakeAnswer:
    return FakeAnswer(body=f"<PublishBatchResponse>{result}</PublishBatchResponse>".encode())


HTML = FakeAnswer(body=b"<html>a gateway</html>")
NO_MEMBERS = [(text, FakeAnswer(body=text.encode())) for text in ("", "{}", "[]", "null", "<a/>")]
TOLD = "<Successful><member><Id>0</Id></member><member><Id>1</Id></member></Successful>"

OPERATIONS = [
    operation(
        "BatchExecuteStatement",
        insert,
        {"Responses": [{"TableName": "requests"}, {}]},
        {},
        {"Responses": [{"Error": "refused"}, {}]},
        {"Responses": [{"Error": {"Message": "no code"}}, {}]},
        {"Responses": [{"Error": {"Code": 7}}, {}]},
        {"Responses": [{"Error": {"Code": "DuplicateItem", "Message": 7}}, {}]},
        unread=[("Responses", 0)],
    ),
    operation(
        "BatchGetItem",
        read,
        {"Responses": {"requests": ROWS}, "UnprocessedKeys": {}},
        {},
        {"Responses": {}},
        {"Responses": {"requests": [], "images": []}},
        {"Responses": {"requests": [{**ROWS[0], "requestId": {"S": "another"}}]}},
        {"Responses": {"requests": [{"status": {"S": "PENDING"}}]}},
        {"Responses": {"requests": []}, "UnprocessedKeys": {"images": {"Keys": []}}},
        {"Responses": {"requests": []}, "UnprocessedKeys": {"requests": {}}},
        {"Responses": {}, "UnprocessedKeys": {"requests": {"Keys": [{"requestId": {"S": "b"}}]}}},
        optional=[("UnprocessedKeys",)],
        shorter=[("Responses", "requests")],
        unread=[("Responses", "requests", 0)],
    ),
    operation(
        "BatchGetItem",
        read_statuses,
        {"Responses": {"requests": ROWS}},
        {},
        shorter=[("Responses", "requests")],
        unread=[("Responses", "requests", 0)],
    ),
    operation(
        "Query",
        query,
        {"Items": [INDEX_ROW] * 2, "Count": 2, "ScannedCount": 2, "LastEvaluatedKey": INDEX_ROW},
        {},
        {"Items": [INDEX_ROW] * 3, "Count": 3, "ScannedCount": 3},
        {"Items": [], "Count": 0, "ScannedCount": 3},
        optional=[("LastEvaluatedKey",)],
    ),
    operation(
        "Scan",
        scan_page,
        {"Items": [{}, {}], "Count": 2, "ScannedCount": 2, "LastEvaluatedKey": ROWS[0]},
        {},
        {"Items": [{}] * 3, "Count": 3, "ScannedCount": 3},
        optional=[("LastEvaluatedKey",)],
        unread=[("LastEvaluatedKey",)],
    ),
    operation("DescribeTable", count, {"Table": {"ItemCount": 7}}, {}),
    # Without ReturnValues, it answers with no members.
    operation("UpdateItem", reopen, {}),
    # An entry that is not named is sent again, and so accepted in the end.
    operation("SendMessageBatch", send, TAKEN, *NOT_TAKEN, shorter=[("Successful",)]),
    operation("ChangeMessageVisibilityBatch", change_visibility, TAKEN, *NOT_TAKEN),
    operation(
        "DeleteMessageBatch",
        delete,
        {"Successful": [{"Id": "0"}], "Failed": [EXPIRED]},
        *NOT_TAKEN,
        optional=[("Failed",), ("Failed", 0, "Message")],
        shorter=[("Failed",)],
    ),
    operation(
        "ReceiveMessage",
        receive,
        {"Messages": [RECEIVED]},
        {"Messages": [{**RECEIVED, "Attributes": {**RECEIVED_ATTRIBUTES, "SentTimestamp": ""}}]},
        # A long poll may end without a message.
        optional=[("Messages",)],
        shorter=[("Messages",)],
    ),
    operation(
        "GetQueueAttributes",
        attributes,
        {"Attributes": {"VisibilityTimeout": "30", "MessageRetentionPeriod": "60"}},
        {},
        {"Attributes": {"VisibilityTimeout": "half a minute"}},
        optional=[("Attributes", "MessageRetentionPeriod")],
    ),
    operation(
        "GetMetricData",
        measure,
        {"MetricDataResults": [{"Values": [5.5]}]},
        {},
        {"MetricDataResults": [{"Values": [True]}]},
        shorter=[("MetricDataResults", 0, "Values")],
        longer=[("MetricDataResults", 0, "Values")],
        # Any number is valid.
        unread=[("MetricDataResults", 0, "Values")],
    ),
    Operation(
        "PublishBatch",
        publish,
        published(f"<PublishBatchResult><Failed/>{TOLD}</PublishBatchResult>"),
        [
            *NO_MEMBERS,
            ("no lists", published("<PublishBatchResult/>")),
            ("an unknown entry", published(TOLD.replace("1", "2"))),
            ("twice the same entry", published(TOLD.replace("1", "0"))),
            ("no id", published(TOLD.replace("<Id>1</Id>", ""))),
            (
                "no code",
                published(f"{TOLD[:40]}</Successful><Failed><member><Id>1</Id></member></Failed>"),
            ),
        ],
    ),
    Operation("PutObject", put, FakeAnswer(headers={"ETag": '"0"'}, body=b""), NO_MEMBERS),
    Operation("GetObject", get, FakeAnswer(headers={"ETag": '"0"'}, body=b""), NO_MEMBERS),
]


@pytest.mark.parametrize(
    "tested", OPERATIONS, ids=lambda tested: f"{tested.name}-{tested.call.__name__}"
)
async def test_a_malformed_answer_is_an_outage(
    tested: Operation, scripted_aws: Aws, fake_aws: FakeAws
) -> None:
    """It is never another error, and never accepted."""
    fake_aws.restart(tested.valid)
    await tested.call(scripted_aws)
    wrong: list[str] = []
    for text, answer in tested.refused:
        fake_aws.restart(answer)
        try:
            await tested.call(scripted_aws)
        except DependencyUnavailable:
            continue
        except Exception as error:  # noqa: BLE001  each must be named
            wrong.append(f"{text}: {error!r}")
        else:
            wrong.append(f"{text}: accepted")
    assert not wrong


async def test_a_receive_without_messages_is_no_outage(
    scripted_aws: Aws, fake_aws: FakeAws
) -> None:
    """SQS leaves the list out."""
    fake_aws.restart(json_answer({}))
    assert await queue(scripted_aws).receive(1, wait=0) == []


def test_every_operation_that_the_system_calls_is_tested() -> None:
    """A call needs the operation's name, and so the code has it in a text. The answer to a HEAD has no body."""
    assert {tested.name for tested in OPERATIONS} | {"HeadObject"} == set(called_operations())


def called_operations() -> Iterator[str]:
    """Yield the texts in the code that are names of operations, also as `service:Operation`."""
    session = botocore.session.get_session()
    known = {
        name
        for service in ("dynamodb", "sqs", "s3", "sns", "cloudwatch")
        for name in session.get_service_model(service).operation_names
    }
    for package in (core, consumer, server):
        (folder,) = package.__path__
        for module in Path(folder).rglob("*.py"):
            for node in ast.walk(ast.parse(module.read_text())):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    name = node.value.rpartition(":")[2]
                    if name in known:
                        yield name
