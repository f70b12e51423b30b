"""Our SNS client does what the SDK does."""

import json
from collections.abc import Awaitable
from typing import Any
from urllib.parse import parse_qsl

import pytest

from core.aws.client import Aws
from harness.fake_aws import FakeAnswer, FakeAws, aws_of, outcome

TOPIC = "arn:aws:sns:eu-west-1:000000000000:topic"
NOTES = [
    {
        "Id": str(position),
        "Message": json.dumps({"default": 'a "b" & c=d; +e%20ü€\n', "sms": "/?#"}),
        "MessageStructure": "json",
        "Subject": "Image published",
        "MessageAttributes": {
            "customerId": {"DataType": "String", "StringValue": "a:b & c"},
            "revision": {"DataType": "Number", "StringValue": "2"},
        },
    }
    for position in range(2)
]
PUBLISHED = b"""<PublishBatchResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/"><PublishBatchResult>
<Successful><member><MessageId>m-1</MessageId><Id>0</Id></member></Successful>
<Failed><member><Id>1</Id><Code>InternalError</Code><Message>a &amp; b</Message>
<SenderFault>false</SenderFault></member></Failed></PublishBatchResult><ResponseMetadata><RequestId>r</RequestId></ResponseMetadata></PublishBatchResponse>"""


def sdk_publish(aws: Aws) -> Awaitable[Any]:
    return aws.sns.publish_batch(TopicArn=TOPIC, PublishBatchRequestEntries=NOTES)  # type: ignore[arg-type]


def http_publish(aws: Aws) -> Awaitable[Any]:
    return aws.http.sns.publish_batch(TOPIC, NOTES)


def sns_error(status: int, code: str) -> FakeAnswer:
    error = f"<Error><Type>Sender</Type><Code>{code}</Code><Message>because</Message></Error>"
    return FakeAnswer(status, f"<ErrorResponse>{error}</ErrorResponse>".encode())


@pytest.mark.parametrize(
    "script",
    [
        (FakeAnswer(body=PUBLISHED),),
        (
            FakeAnswer(
                body=PUBLISHED.partition(b"<Failed>")[0]
                + b"</PublishBatchResult></PublishBatchResponse>"
            ),
        ),
        (sns_error(404, "NotFound"),),
        (sns_error(400, "Throttling"), FakeAnswer(body=PUBLISHED)),
        (sns_error(503, "ServiceUnavailable"),),
    ],
    ids=["one failed", "all published", "no topic", "throttled once", "down"],
)
async def test_sns_responses_have_the_same_result(
    script: tuple[FakeAnswer, ...], scripted_aws: Aws, fake_aws: FakeAws
) -> None:
    """The entries that were published, and the errors of the others."""
    fake_aws.restart(*script)
    seen, tries = await outcome(sdk_publish, scripted_aws, fake_aws)
    fake_aws.restart(*script)
    ours, our_tries = await outcome(http_publish, scripted_aws, fake_aws)
    assert (ours, our_tries) == (seen, tries)


async def test_the_request_has_the_same_form(scripted_aws: Aws, fake_aws: FakeAws) -> None:
    """Every parameter has the same name and text, with any characters."""
    fake_aws.restart(FakeAnswer(body=PUBLISHED))
    await sdk_publish(scripted_aws)
    await http_publish(scripted_aws)
    theirs, ours = (sorted(parse_qsl(body.decode())) for body in fake_aws.bodies)
    assert ours == theirs
    their_request, our_request = fake_aws.requests
    assert our_request.content_type == their_request.content_type


async def test_a_topics_endpoint_may_have_a_path(fake_aws: FakeAws) -> None:
    """A gateway routes by it."""
    fake_aws.restart(FakeAnswer(body=PUBLISHED))
    async with aws_of(FakeAws(url=f"{fake_aws.url}/aws")) as aws:
        await sdk_publish(aws)
        await http_publish(aws)
    theirs, ours = fake_aws.requests
    assert ours.raw_path == theirs.raw_path
