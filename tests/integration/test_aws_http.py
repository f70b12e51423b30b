"""Our AWS HTTP clients do what the SDK does: same requests, results, errors and retries."""

import hashlib
import json
from collections.abc import Awaitable
from typing import Any

import pytest

from core.answers import no_members
from core.aws.client import Aws, call
from core.errors import DependencyUnavailable
from harness.fake_aws import Call, FakeAnswer, FakeAws, aws_of, outcome

BODY = b"the image"
SHA256 = hashlib.sha256(BODY).hexdigest()
STATEMENTS = [{"Statement": "INSERT …", "Parameters": [{"S": "ü"}, {"N": "1"}]}]
ENTRIES = [{"Id": "0", "MessageBody": '{"a":1}', "DelaySeconds": 3}]
SENT = {"Successful": [{"Id": "0", "MessageId": "m", "MD5OfMessageBody": "0"}]}


def sdk_insert(aws: Aws) -> Awaitable[Any]:
    return aws.dynamodb.batch_execute_statement(Statements=STATEMENTS)  # type: ignore[arg-type]


def http_insert(aws: Aws) -> Awaitable[Any]:
    return aws.http.dynamodb.invoke("BatchExecuteStatement", {"Statements": STATEMENTS})


def sdk_send(aws: Aws) -> Awaitable[Any]:
    return aws.sqs.send_message_batch(QueueUrl="http://q/1", Entries=ENTRIES)  # type: ignore[arg-type]


def http_send(aws: Aws) -> Awaitable[Any]:
    return aws.http.sqs.invoke("SendMessageBatch", {"QueueUrl": "http://q/1", "Entries": ENTRIES})


def sdk_put(aws: Aws) -> Awaitable[Any]:
    return aws.s3.put_object(
        Bucket="pics",
        Key="images/ab/c~d e.jpg",
        Body=BODY,
        ContentType="image/jpeg",
        CacheControl="public, max-age=1",
        ChecksumSHA256="",
    )


def http_put(aws: Aws) -> Awaitable[Any]:
    return aws.http.bucket("pics").put_object(
        "images/ab/c~d e.jpg",
        BODY,
        sha256=SHA256,
        content_type="image/jpeg",
        cache_control="public, max-age=1",
    )


def json_error(status: int, code: str, **headers: str) -> FakeAnswer:
    body = json.dumps({"__type": f"com.amazonaws.v2012#{code}", "message": "because"}).encode()
    return FakeAnswer(status, body, {k.replace("_", "-"): v for k, v in headers.items()})


def xml_error(status: int, code: str) -> FakeAnswer:
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>because</Message></Error>"
    return FakeAnswer(status, body.encode())


@pytest.mark.parametrize(
    "script",
    [
        (FakeAnswer(body=json.dumps({"Responses": [{}]}).encode()),),
        (json_error(400, "ValidationException"),),
        (json_error(400, "ResourceNotFoundException"),),
        (json_error(400, "ThrottlingException"), FakeAnswer()),
        (json_error(400, "ProvisionedThroughputExceededException"),),
        (json_error(500, "InternalServerError"), json_error(503, "Busy"), FakeAnswer()),
        (FakeAnswer(502, b"<html>a proxy's page</html>"),),
        (FakeAnswer(cut=True), FakeAnswer()),
        (FakeAnswer(cut=True),),
        (FakeAnswer(403, b""),),
        (FakeAnswer(502, b'{"code": 502}'),),
    ],
    ids=lambda script: "-".join(str("cut" if each.cut else each.status) for each in script),
)
async def test_dynamodb_responses_have_the_same_result(
    script: tuple[FakeAnswer, ...], scripted_aws: Aws, fake_aws: FakeAws
) -> None:
    """Success, rejection, throttling, errors and broken connections: same result after as many attempts."""
    fake_aws.restart(*script)
    expected = await outcome(sdk_insert, scripted_aws, fake_aws)
    fake_aws.restart(*script)
    assert await outcome(http_insert, scripted_aws, fake_aws) == expected


@pytest.mark.parametrize(
    "script",
    [
        (FakeAnswer(body=json.dumps(SENT).encode()),),
        (
            json_error(
                400, "QueueDoesNotExist", x_amzn_query_error="AWS.SimpleQueueService.Gone;Sender"
            ),
        ),
        (json_error(400, "RequestThrottled"), FakeAnswer(body=json.dumps(SENT).encode())),
    ],
    ids=["sent", "no queue", "throttled once"],
)
async def test_sqs_responses_have_the_same_result(
    script: tuple[FakeAnswer, ...], scripted_aws: Aws, fake_aws: FakeAws
) -> None:
    """SQS sends the codes of its older protocol in a header, which the SDK prefers."""
    fake_aws.restart(*script)
    expected = await outcome(sdk_send, scripted_aws, fake_aws)
    fake_aws.restart(*script)
    assert await outcome(http_send, scripted_aws, fake_aws) == expected


@pytest.mark.parametrize(
    "script",
    [
        (xml_error(404, "NoSuchBucket"),),
        (xml_error(503, "SlowDown"), FakeAnswer(body=b"")),
        (xml_error(400, "RequestTimeout"), FakeAnswer(body=b"")),
        (FakeAnswer(500, b""),),
    ],
    ids=["no bucket", "slow down", "timed out", "fault"],
)
async def test_s3_responses_have_the_same_result(
    script: tuple[FakeAnswer, ...], scripted_aws: Aws, fake_aws: FakeAws
) -> None:
    """The same errors after as many attempts."""
    fake_aws.restart(*script)
    seen, tries = await outcome(sdk_put, scripted_aws, fake_aws)
    fake_aws.restart(*script)
    ours, our_tries = await outcome(http_put, scripted_aws, fake_aws)
    assert our_tries == tries
    if isinstance(seen, str):
        assert ours == seen


@pytest.mark.parametrize(
    ("sdk", "http", "compared"),
    [
        (sdk_insert, http_insert, {"x-amz-target", "x-amz-security-token"}),
        (sdk_send, http_send, {"x-amz-target", "x-amz-security-token"}),
        (sdk_put, http_put, {"content-type", "cache-control", "x-amz-security-token"}),
    ],
)
async def test_the_request_is_the_same(
    sdk: Call, http: Call, compared: set[str], scripted_aws: Aws, fake_aws: FakeAws
) -> None:
    """Method, path, relevant headers and the content of the body."""
    fake_aws.restart(FakeAnswer(body=b"" if sdk is sdk_put else b"{}"))
    await sdk(scripted_aws)
    await http(scripted_aws)
    theirs, ours = fake_aws.requests
    assert (ours.method, ours.raw_path) == (theirs.method, theirs.raw_path)
    for name in compared:
        assert ours.headers[name] == theirs.headers[name]
    their_body, our_body = fake_aws.bodies
    if ours.method == "POST":
        assert json.loads(our_body) == json.loads(their_body)
        assert ours.content_type == theirs.content_type
    else:
        assert our_body == their_body


@pytest.mark.parametrize("path", ["/aws", "/aws/"])
@pytest.mark.parametrize(
    ("sdk", "http"), [(sdk_insert, http_insert), (sdk_send, http_send), (sdk_put, http_put)]
)
async def test_an_endpoint_may_have_a_path(
    path: str, sdk: Call, http: Call, fake_aws: FakeAws
) -> None:
    """A gateway routes by it."""
    fake_aws.restart(FakeAnswer(body=b"" if sdk is sdk_put else b"{}"))
    async with aws_of(FakeAws(url=fake_aws.url + path)) as aws:
        await sdk(aws)
        await http(aws)
    theirs, ours = fake_aws.requests
    assert ours.raw_path == theirs.raw_path


async def test_a_connection_closed_while_idle_is_replaced(
    scripted_aws: Aws, fake_aws: FakeAws
) -> None:
    """AWS closes idle connections; the next call must not fail."""
    fake_aws.restart(FakeAnswer(headers={"Connection": "keep-alive"}))
    await http_send(scripted_aws)
    transport = fake_aws.requests[0].transport
    assert transport is not None
    transport.abort()
    await http_send(scripted_aws)
    assert len(fake_aws.requests) == 2


@pytest.mark.parametrize("body", [b"", b"{", b"[]"], ids=["empty", "cut", "no object"])
async def test_a_malformed_response_is_retried_and_then_an_outage(
    body: bytes, scripted_aws: Aws, fake_aws: FakeAws
) -> None:
    """It is never an error of the item."""
    fake_aws.restart(FakeAnswer(body=body))
    with pytest.raises(DependencyUnavailable):
        await call("sqs:SendMessageBatch", http_send(scripted_aws), no_members)
    assert len(fake_aws.requests) == 3
