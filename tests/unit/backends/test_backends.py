"""The pure parts of the real backends: reading tool output, mirroring resources, routing calls."""

import json

import pytest

from backends.jars import first_error, java_major
from backends.mirror import dlq_name, queue_like, table_like
from backends.router import tables_of
from harness.calls import Request, Signed

KEY = [{"AttributeName": "requestId", "KeyType": "HASH"}]
ATTRIBUTES = [{"AttributeName": "requestId", "AttributeType": "S"}]
INDEX = {
    "IndexName": "byCustomer",
    "KeySchema": [{"AttributeName": "customerShard", "KeyType": "HASH"}],
    "Projection": {"ProjectionType": "KEYS_ONLY"},
}


@pytest.mark.parametrize(
    ("output", "major"),
    [
        ('openjdk version "17.0.15" 2025-04-15\nOpenJDK Runtime Environment', 17),
        ('openjdk version "21" 2023-09-19', 21),
        ('java version "1.8.0_391"', 8),
        ("no such thing", 0),
    ],
)
def test_the_java_version_is_parsed(output: str, major: int) -> None:
    """Before Java 9 the major version was the second number."""
    assert java_major(output) == major


@pytest.mark.parametrize(
    ("output", "line"),
    [
        ("\x1b[0m\n[ERROR] Failed: no route\n[ERROR] \n[ERROR] Help", "Failed: no route"),
        ("[INFO] fetching\n[\x1b[1;31mERROR\x1b[m] Could not resolve x", "Could not resolve x"),
        ("", "no reason in its output"),
    ],
)
def test_the_first_error_of_maven_is_one_line(output: str, line: str) -> None:
    """Without colours, log levels and the errors that follow from the first one."""
    assert first_error(output) == line


@pytest.mark.parametrize("indexes", [[], [INDEX]])
def test_a_table_is_mirrored(indexes: list[dict[str, object]]) -> None:
    """Keys, attributes and indexes are copied; counts, ARNs and states are not."""
    described = {
        "TableName": "t-requests",
        "TableStatus": "ACTIVE",
        "ItemCount": 7,
        "AttributeDefinitions": ATTRIBUTES,
        "KeySchema": KEY,
        "GlobalSecondaryIndexes": [
            {**index, "IndexStatus": "ACTIVE", "ItemCount": 1} for index in indexes
        ],
    }
    assert table_like(described) == {
        "TableName": "t-requests",
        "AttributeDefinitions": ATTRIBUTES,
        "KeySchema": KEY,
        "BillingMode": "PAY_PER_REQUEST",
        **({"GlobalSecondaryIndexes": indexes} if indexes else {}),
    }


def test_a_queue_is_mirrored() -> None:
    """The attributes that determine its behaviour are copied, with an unchanged redrive policy."""
    policy = json.dumps(
        {
            "deadLetterTargetArn": "arn:aws:sqs:us-east-1:000000000000:t-undelivered",
            "maxReceiveCount": 10,
        }
    )
    copied = {"VisibilityTimeout": "3", "RedrivePolicy": policy}
    attributes = {**copied, "ApproximateNumberOfMessages": "2", "SqsManagedSseEnabled": "true"}
    assert queue_like(attributes) == copied
    assert dlq_name(copied) == "t-undelivered"
    assert dlq_name({"VisibilityTimeout": "3"}) is None


@pytest.mark.parametrize(
    ("operation", "parameters", "tables"),
    [
        ("GetItem", {"TableName": "one"}, {"one"}),
        ("Query", {"TableName": "one", "IndexName": "byCustomer"}, {"one"}),
        ("BatchGetItem", {"RequestItems": {"one": {}, "two": {}}}, {"one", "two"}),
        (
            "BatchExecuteStatement",
            {"Statements": [{"Statement": 'UPDATE "one" SET a = 1'}]},
            {"one"},
        ),
        ("ListTables", {}, set()),
    ],
)
def test_the_tables_of_a_call(
    operation: str, parameters: dict[str, object], tables: set[str]
) -> None:
    """The router creates each on the real backend before it forwards the call."""
    signed = Signed("tests", "us-east-1", "dynamodb")
    target = f"DynamoDB_20120810.{operation}"
    body = json.dumps(parameters).encode()
    assert tables_of(Request(signed, "POST", "/", "", target, body)) == tables
