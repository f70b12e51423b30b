"""Our clients understand the responses of the null AWS, and its counts are correct."""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import pytest_asyncio

from core.aws.client import Aws, open_aws
from core.aws.sqs import SqsQueue
from core.dynamodb.statements import Statements
from core.dynamodb.tables import Tables
from core.model.image import ImageRecord
from core.model.message import decode_message, first_message
from core.model.request import ImageRequest, State, new_request
from loadtest.bench.null_aws.connection import Connection, Request
from loadtest.bench.null_aws.responses import md5_of
from loadtest.bench.null_aws.service import NullAws
from loadtest.bench.system.backend import NullControl

URL = "https://images.example/a.jpg"


@pytest_asyncio.fixture
async def null() -> AsyncIterator[NullControl]:
    server = await asyncio.get_running_loop().create_server(
        NullAws(0.001).connection, "127.0.0.1", 0
    )
    yield NullControl(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    server.close()
    await server.wait_closed()


@pytest_asyncio.fixture
async def aws(null: NullControl, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Aws]:
    monkeypatch.setenv("AWS_ENDPOINT_URL", null.url)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "bench")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "bench")
    async with open_aws() as opened:
        yield opened


def request(url: str = URL) -> ImageRequest:
    return new_request(request_id=str(uuid.uuid4()), customer_id="acme", url=url, labels={}, now=1)


def tables(aws: Aws) -> Tables:
    return Tables(aws.http.dynamodb, Statements("requests", "images"))


async def test_every_statement_and_message_of_a_batch_succeeds(aws: Aws, null: NullControl) -> None:
    """Values that contain the counted text do not change the counts."""
    rows, sender = tables(aws), SqsQueue(aws.http.sqs, f"{null.url}/0/queue")
    requests = [request('https://a.example/"Statement":"Id":"x"') for _ in range(60)]
    await asyncio.gather(*(rows.write(rows.statements.insert_request(each)) for each in requests))
    await asyncio.gather(*(sender.send(json.dumps({"Id": "x"}), group="") for _ in requests))
    counted = await null.calls()
    assert counted["items"]["dynamodb:BatchExecuteStatement"] == 60
    assert counted["items"]["sqs:SendMessageBatch"] == 60
    assert counted["calls"]["dynamodb:BatchExecuteStatement"] < 60
    await null.reset()
    assert (await null.calls())["calls"] == {}


async def test_a_row_is_pending_until_it_is_completed(aws: Aws, null: NullControl) -> None:
    rows, request_id = tables(aws), request().request_id
    assert await rows.read_image(request_id) is None
    pending = await rows.read_request(request_id)
    assert pending is not None
    assert pending.state is State.PENDING
    await null.complete([request_id])
    completed = await rows.read_request(request_id)
    assert completed is not None
    assert (completed.state, completed.revision) == (State.COMPLETED, pending.revision + 1)
    assert isinstance(await rows.read_image(request_id), ImageRecord)
    assert (await rows.read_statuses([request_id]))[request_id].revision == completed.revision


async def test_a_row_has_the_requested_age_when_it_is_first_read(
    aws: Aws, null: NullControl
) -> None:
    rows, first, second = tables(aws), request().request_id, request().request_id
    await null.age(60)
    old = await rows.read_request(first)
    await null.age(0)
    new = await rows.read_request(second)
    assert old is not None
    assert new is not None
    assert new.updated_at - old.updated_at >= 60_000
    again = await rows.read_request(first)
    assert again is not None
    assert again.updated_at == old.updated_at


async def test_a_filled_queue_delivers_each_message_once(aws: Aws, null: NullControl) -> None:
    """At most ten per poll, also to a poll that was waiting before they arrived."""
    polling = asyncio.create_task(_receive(aws, null, wait=20))
    await _polled(null)
    urls = [f"https://images.example/{number}" for number in range(25)]
    await null.fill(urls)
    batches = [await polling] + [await _receive(aws, null, wait=0) for _ in range(3)]
    assert [len(batch) for batch in batches] == [10, 10, 5, 0]
    messages = [decode_message(each["Body"]) for batch in batches for each in batch]
    assert [message.url for message in messages] == urls
    assert len({message.request_id for message in messages}) == 25
    handles = [each["ReceiptHandle"] for each in batches[0]]
    deleted = await aws.sqs.delete_message_batch(
        QueueUrl=f"{null.url}/0/queue",
        Entries=[{"Id": str(at), "ReceiptHandle": each} for at, each in enumerate(handles)],
    )
    assert len(deleted["Successful"]) == 10


async def test_a_message_that_a_consumer_sends_again_is_delivered_in_its_lane(
    aws: Aws, null: NullControl
) -> None:
    """A first message, as a server sends it, is not: benchmarks fill the queue."""
    message = first_message(request())
    for name in ("queue", "bulk"):
        lane = SqsQueue(aws.http.sqs, f"{null.url}/0/{name}")
        await lane.send(message.encode(), group="")
        await lane.send(message.requeued(suspect=name == "bulk").encode(), group="")
        (again,) = await _receive(aws, null, wait=0, queue=name)
        assert decode_message(again["Body"]) == message.requeued(suspect=name == "bulk")
        assert await _receive(aws, null, wait=0, queue=name) == []


async def test_the_sdk_understands_the_other_responses(aws: Aws, null: NullControl) -> None:
    queue = f"{null.url}/0/queue"
    attributes = await aws.sqs.get_queue_attributes(
        QueueUrl=queue, AttributeNames=["VisibilityTimeout"]
    )
    assert attributes["Attributes"]["VisibilityTimeout"] == "120"
    extended = await aws.sqs.change_message_visibility_batch(
        QueueUrl=queue, Entries=[{"Id": "0", "ReceiptHandle": "h", "VisibilityTimeout": 9}]
    )
    assert [each["Id"] for each in extended["Successful"]] == ["0"]
    published = await aws.sns.publish_batch(
        TopicArn="arn:aws:sns:us-east-1:000000000000:topic",
        PublishBatchRequestEntries=[{"Id": str(at), "Message": "m"} for at in range(3)],
    )
    assert [each.get("Id") for each in published["Successful"]] == ["0", "1", "2"]
    stored = await aws.s3.put_object(Bucket="bucket", Key="key", Body=b"x" * 150_000)
    assert stored["ETag"]
    counted = (await null.calls())["calls"]
    assert counted["sns:PublishBatch"] == counted["s3:PutObject"] == 1


async def test_the_sdk_understands_the_responses_to_single_calls(
    aws: Aws, null: NullControl
) -> None:
    """Other programs than ours make them. The digest of a message is the one that an SDK verifies."""
    key = {"requestId": {"S": "1"}}
    await aws.dynamodb.put_item(TableName="images", Item=key)
    await aws.dynamodb.update_item(TableName="requests", Key=key)
    queue = f"{null.url}/0/queue"
    sent = await aws.sqs.send_message(QueueUrl=queue, MessageBody="body")
    assert sent["MD5OfMessageBody"] == md5_of("body")
    await null.fill([URL])
    (received,) = await _receive(aws, null, wait=0)
    assert received["MD5OfBody"] == md5_of(received["Body"])
    await aws.sqs.delete_message(QueueUrl=queue, ReceiptHandle="h")
    published = await aws.sns.publish(
        TopicArn="arn:aws:sns:us-east-1:000000000000:topic", Message="m"
    )
    assert published["MessageId"]
    await aws.s3.put_object(Bucket="bucket", Key="key", Body=b"x" * 1_000)
    counted = await null.calls()
    single = {"dynamodb:PutItem", "dynamodb:UpdateItem", "sqs:SendMessage", "sqs:DeleteMessage"}
    assert single | {"sns:Publish"} <= counted["items"].keys()
    assert counted["bytes"]["s3:PutObject"] >= 1_000


class Wire(asyncio.Transport):
    """Records the written bytes."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""

    def write(self, data: Any) -> None:
        self.written += data


@pytest.mark.parametrize("pieces", [1, 2, 7, 1_000])
def test_requests_are_separated_however_they_arrive(pieces: int) -> None:
    """Pipelined and in pieces. The second waits for the response to the first."""
    waiting: list[tuple[Request, Callable[[bytes], None]]] = []
    connection = Connection(lambda request, answerer: waiting.append((request, answerer.answer)))
    wire = Wire()
    connection.connection_made(wire)
    first = b"POST / HTTP/1.1\r\nX-Amz-Target: S.A\r\ncontent-length: 4\r\n\r\nbody"
    second = b"PUT /key HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nhi"
    stream = first + second
    size = -(-len(stream) // pieces)
    for start in range(0, len(stream), size):
        connection.data_received(stream[start : start + size])
    ((request, answer),) = waiting
    assert request == Request("POST", "/", "S.A", b"body")
    answer(b"one")
    assert waiting[1][0] == Request("PUT", "/key", "", b"hi")
    waiting[1][1](b"two")
    assert wire.written == b"oneHTTP/1.1 100 Continue\r\n\r\ntwo"
    connection.connection_lost(None)
    assert connection.closed


async def _receive(
    aws: Aws, null: NullControl, *, wait: int, queue: str = "queue"
) -> list[dict[str, Any]]:
    received: Any = await aws.sqs.receive_message(
        QueueUrl=f"{null.url}/0/{queue}", MaxNumberOfMessages=10, WaitTimeSeconds=wait
    )
    messages: list[dict[str, Any]] = received.get("Messages", [])
    return messages


async def _polled(null: NullControl) -> None:
    while not (await null.calls())["calls"].get("sqs:ReceiveMessage"):
        pass
