"""What the real backends are made from: pure parts of fetching, mirroring and routing."""

import json

import pytest

from backends.jars import first_complaint, java_major
from backends.mirror import dead_letter_queue, queue_like, table_like
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
    ("told", "major"),
    [
        ('openjdk version "17.0.15" 2025-04-15\nOpenJDK Runtime Environment', 17),
        ('openjdk version "21" 2023-09-19', 21),
        ('java version "1.8.0_391"', 8),
        ("no such thing", 0),
    ],
)
def test_javas_version_is_read_from_its_words(told: str, major: int) -> None:
    """Before Java 9 the major version stood second."""
    assert java_major(told) == major


@pytest.mark.parametrize(
    ("told", "line"),
    [
        ("\x1b[0m\n[ERROR] Failed: no route\n[ERROR] \n[ERROR] Help", "Failed: no route"),
        ("[INFO] fetching\n[\x1b[1;31mERROR\x1b[m] Could not resolve x", "Could not resolve x"),
        ("", "it did not say why"),
    ],
)
def test_mavens_first_complaint_is_one_line(told: str, line: str) -> None:
    """Colours and marks are left out, and so is all that follows from the first error."""
    assert first_complaint(told) == line


@pytest.mark.parametrize("indexes", [[], [INDEX]])
def test_a_table_is_made_like_the_templates(indexes: list[dict[str, object]]) -> None:
    """Keys, attributes and indexes are taken over; counts, ARNs and states are not."""
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


def test_a_queue_is_made_like_the_templates() -> None:
    """What decides how it behaves is taken over, its redrive policy as it stands."""
    policy = json.dumps(
        {
            "deadLetterTargetArn": "arn:aws:sqs:us-east-1:000000000000:t-undelivered",
            "maxReceiveCount": 10,
        }
    )
    kept = {"VisibilityTimeout": "3", "RedrivePolicy": policy}
    told = {**kept, "ApproximateNumberOfMessages": "2", "SqsManagedSseEnabled": "true"}
    assert queue_like(told) == kept
    assert dead_letter_queue(kept) == "t-undelivered"
    assert dead_letter_queue({"VisibilityTimeout": "3"}) is None


@pytest.mark.parametrize(
    ("operation", "asked", "tables"),
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
def test_the_tables_of_a_call_are_known(
    operation: str, asked: dict[str, object], tables: set[str]
) -> None:
    """Each is on the real backend before the call goes there."""
    signed = Signed("tests", "us-east-1", "dynamodb")
    target = f"DynamoDB_20120810.{operation}"
    assert tables_of(Request(signed, "POST", "/", "", target, json.dumps(asked).encode())) == tables
