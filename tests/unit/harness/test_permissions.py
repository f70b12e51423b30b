"""AWS calls are parsed from HTTP requests and checked against the roles of the template."""

import copy
import json
from typing import Any

import pytest

from cli.local.stack import TEMPLATE
from harness.calls import Call, Request, Signed, calls
from harness.permissions import Permissions, load_template

TABLE = "arn:aws:dynamodb:us-east-1:000000000000:table/t-requests"
IMAGES = "arn:aws:dynamodb:us-east-1:000000000000:table/t-images"
QUEUE = "arn:aws:sqs:us-east-1:000000000000:t-queue"
SEARCH = "arn:aws:sqs:us-east-1:000000000000:t-search"
DLQ = "arn:aws:sqs:us-east-1:000000000000:t-undelivered"
FAILED_REQUESTS = "arn:aws:sqs:us-east-1:000000000000:t-dead-letters"
TOPIC = "arn:aws:sns:us-east-1:000000000000:t-notifications"


@pytest.fixture(scope="module")
def permissions() -> Permissions:
    return Permissions.parse(load_template(TEMPLATE))


def request(service: str, **parts: Any) -> Request:
    body = parts.pop("body", b"")
    return Request(
        Signed("consumer", "us-east-1", service),
        parts.pop("method", "POST"),
        parts.pop("path", "/"),
        parts.pop("query", ""),
        parts.pop("target", ""),
        body if isinstance(body, bytes) else json.dumps(body).encode(),
    )


def dynamodb(operation: str, body: Any) -> Request:
    return request("dynamodb", target=f"DynamoDB_20120810.{operation}", body=body)


def batch(*statements: str) -> Request:
    return dynamodb(
        "BatchExecuteStatement", {"Statements": [{"Statement": each} for each in statements]}
    )


@pytest.mark.parametrize(
    ("received", "expected"),
    [
        (dynamodb("GetItem", {"TableName": "t-requests"}), [("dynamodb:GetItem", TABLE)]),
        (
            dynamodb("Query", {"TableName": "t-requests", "IndexName": "byFailure"}),
            [("dynamodb:Query", f"{TABLE}/index/byFailure")],
        ),
        (
            dynamodb("BatchGetItem", {"RequestItems": {"t-requests": {}, "t-images": {}}}),
            [("dynamodb:BatchGetItem", TABLE), ("dynamodb:BatchGetItem", IMAGES)],
        ),
        (
            dynamodb("TransactWriteItems", {"TransactItems": [{"Put": {"TableName": "t-images"}}]}),
            [("dynamodb:PutItem", IMAGES)],
        ),
        (
            batch('INSERT INTO "t-requests" VALUE {}', "update t-images\n SET a=1"),
            [("dynamodb:PartiQLInsert", TABLE), ("dynamodb:PartiQLUpdate", IMAGES)],
        ),
        (
            batch('SELECT "a" FROM "t-requests"."byFailure" WHERE x=1', 'DELETE FROM "t-images"'),
            [
                ("dynamodb:PartiQLSelect", f"{TABLE}/index/byFailure"),
                ("dynamodb:PartiQLDelete", IMAGES),
            ],
        ),
        (batch("EXPLAIN"), [("dynamodb:PartiQLUnknown", "*")]),
        (
            request(
                "sqs",
                target="AmazonSQS.SendMessageBatch",
                body={"QueueUrl": "http://127.0.0.1:1/000000000000/t-queue"},
            ),
            [("sqs:SendMessageBatch", QUEUE)],
        ),
        (
            request("sns", body=f"Action=PublishBatch&TopicArn={TOPIC}".encode()),
            [("sns:PublishBatch", TOPIC)],
        ),
        (
            request(
                "cloudwatch",
                path="/service/GraniteServiceVersion20100801/operation/GetMetricData",
                body=b"\xbf\xff",
            ),
            [("cloudwatch:GetMetricData", "*")],
        ),
        (
            request("s3", method="PUT", path="/t-images-0/images/ab/c/d.jpg"),
            [("s3:PutObject", "arn:aws:s3:::t-images-0/images/…")],
        ),
        (
            request("s3", method="GET", path="/t-images-0", query="list-type=2"),
            [("s3:GET?list-type=2", "arn:aws:s3:::t-images-0")],
        ),
    ],
)
def test_the_calls_of_a_request(received: Request, expected: list[tuple[str, str]]) -> None:
    """They are all actions that AWS would authorise, with their resources."""
    assert [(call.api, call.resource) for call in calls(received)] == expected


def test_the_signature_names_the_caller_and_the_service() -> None:
    """The access key id and the IAM name of the service come from the Authorization header."""
    header = "AWS4-HMAC-SHA256 Credential=server/20260101/us-east-1/monitoring/aws4_request, …"
    assert Signed.parse(header) == Signed("server", "us-east-1", "cloudwatch")
    assert Signed.parse("Bearer token") is None


@pytest.mark.parametrize(
    ("role", "api", "resource", "allowed"),
    [
        ("server", "dynamodb:PartiQLInsert", TABLE, True),
        ("server", "dynamodb:PartiQLInsert", IMAGES, False),
        ("server", "dynamodb:PartiQLUpdate", TABLE, False),
        ("server", "sqs:SendMessageBatch", QUEUE, True),
        ("server", "sqs:SendMessage", FAILED_REQUESTS, False),
        ("server", "sqs:ReceiveMessage", QUEUE, False),
        ("consumer", "dynamodb:PartiQLUpdate", TABLE, True),
        ("consumer", "dynamodb:Scan", TABLE, False),
        ("consumer", "sqs:ChangeMessageVisibilityBatch", QUEUE, True),
        ("consumer", "sqs:ReceiveMessage", FAILED_REQUESTS, False),
        ("consumer", "sns:PublishBatch", TOPIC, True),
        ("consumer", "s3:PutObject", "arn:aws:s3:::t-images-000000000000/images/…", True),
        ("consumer", "s3:PutObject", "arn:aws:s3:::t-images-000000000000/other/…", False),
        ("consumer", "s3:DELETEObject", "arn:aws:s3:::t-images-000000000000/images/…", False),
        ("server", "dynamodb:Query", f"{TABLE}/index/byCustomer", True),
        ("server", "dynamodb:Query", f"{TABLE}/index/byFailure", True),
        ("server", "dynamodb:Query", TABLE, False),
        ("indexer", "dynamodb:Scan", IMAGES, True),
        ("indexer", "dynamodb:Scan", TABLE, False),
        ("indexer", "sqs:DeleteMessageBatch", SEARCH, True),
        ("indexer", "sqs:SendMessage", SEARCH, False),
        ("indexer", "sqs:ReceiveMessage", QUEUE, False),
        ("exporter", "sqs:GetQueueAttributes", SEARCH, True),
        ("scaler", "sqs:GetQueueAttributes", SEARCH, True),
        ("operator", "dynamodb:Scan", TABLE, True),
        ("operator", "dynamodb:Query", f"{TABLE}/index/byFailure", True),
        ("operator", "dynamodb:Query", f"{TABLE}/index/byCustomer", False),
        ("operator", "dynamodb:Query", TABLE, False),
        ("operator", "sqs:DeleteMessage", DLQ, True),
        ("operator", "sqs:ChangeMessageVisibilityBatch", DLQ, True),
        ("operator", "sqs:ChangeMessageVisibilityBatch", FAILED_REQUESTS, True),
        ("operator", "sqs:GetQueueAttributes", FAILED_REQUESTS, True),
        ("operator", "sqs:SendMessage", DLQ, False),
        ("operator", "sqs:ReceiveMessage", QUEUE, False),
        ("operator", "cloudwatch:GetMetricData", "*", True),
    ],
)
def test_a_role_is_allowed_its_own_actions_only(
    permissions: Permissions, role: str, api: str, resource: str, *, allowed: bool
) -> None:
    """A call is allowed if the policy of the role has its action and its resource."""
    assert permissions.allowed(role, api, resource) is allowed


@pytest.mark.parametrize(
    ("key", "allowed"), [("…#renditions", True), ("…#reuse", True), ("…", False), ("", False)]
)
def test_a_consumer_changes_no_image_record(
    permissions: Permissions, key: str, *, allowed: bool
) -> None:
    """It may update rows of renditions and records of fetches only. IAM knows them by the leading key."""
    image_id = "0f4c9a1e-5a83-5b0e-9d8c-1b2a3c4d5e6f"
    update = {"TableName": "t-images", "Key": {"imageId": {"S": key.replace("…", image_id)}}}
    (call,) = calls(dynamodb("UpdateItem", update))
    assert call == Call("consumer", "dynamodb:UpdateItem", IMAGES, key)
    assert permissions.allowed("consumer", call.api, call.resource, call.key) is allowed


def test_only_calls_beyond_the_role_are_refused(permissions: Permissions) -> None:
    """The calls of the tests themselves are not checked."""
    purge = Call("consumer", "sqs:PurgeQueue", QUEUE)
    made = [
        purge,
        Call("consumer", "sqs:ReceiveMessage", QUEUE),
        Call("tests", "sqs:PurgeQueue", QUEUE),
    ]
    assert permissions.refused(made) == [purge]


def test_a_permission_removed_from_the_template_is_noticed() -> None:
    """The call that needs it is refused."""
    template = copy.deepcopy(load_template(TEMPLATE))
    policy = template["Resources"]["ServerRole"]["Properties"]["Policies"][0]["PolicyDocument"]
    policy["Statement"][0]["Action"].remove("dynamodb:PartiQLInsert")
    insert = Call("server", "dynamodb:PartiQLInsert", TABLE)
    assert Permissions.parse(template).refused([insert]) == [insert]


@pytest.mark.parametrize(
    "statement",
    [
        {"Effect": "Deny", "Action": "s3:*", "Resource": "*"},
        {"Effect": "Allow", "NotAction": "s3:*", "Resource": "*"},
        {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*", "Condition": {}},
        {"Effect": "Allow", "Action": "s3:GetObject", "Resource": {"Ref": "Bucket"}},
    ],
)
def test_an_unsupported_policy_statement_is_an_error(statement: dict[str, Any]) -> None:
    """It is never taken for a grant."""
    template = copy.deepcopy(load_template(TEMPLATE))
    policy = template["Resources"]["ServerRole"]["Properties"]["Policies"][0]["PolicyDocument"]
    policy["Statement"].append(statement)
    with pytest.raises(ValueError, match="understood"):
        Permissions.parse(template)
