"""SubmitImages: each item has its own result, and the stream survives the errors of items."""

import uuid
from collections.abc import AsyncIterator
from dataclasses import replace

import grpc
import pytest
import pytest_asyncio
from google.rpc import code_pb2
from types_aiobotocore_sqs import SQSClient

from cli.local.stack import StackOutputs
from core.aws.client import open_aws
from harness.aws import RecordingAws
from harness.aws_proxy import AwsProxy, aws_proxy, cut, pass_on
from harness.blocking_sender import blocking_sender
from harness.grpc_client import submit_request
from harness.item_stream import ItemStream, item, names, numbered_items
from harness.messages import take
from harness.running_server import ServerFactory
from imageservice.v1 import image_service_pb2 as pb


@pytest.fixture
def own_servers(servers: ServerFactory, own_stack: StackOutputs) -> ServerFactory:
    """Servers with a queue of their own for this test."""
    return replace(servers, stack=own_stack)


@pytest_asyncio.fixture
async def proxy(embedded_aws: RecordingAws) -> AsyncIterator[AwsProxy]:
    async with aws_proxy(embedded_aws.endpoint) as running:
        yield running


def new_id() -> str:
    return str(uuid.uuid4())


async def test_every_item_is_accepted_with_its_own_id(
    own_servers: ServerFactory, sqs: SQSClient
) -> None:
    """Hundreds of items share response messages; each is durable, and the stream ends OK."""
    items = numbered_items(300)
    async with own_servers.running() as server:
        stream = ItemStream(server.stub)
        stream.send_all(items)
        results = await stream.results()
        assert await stream.code() is grpc.StatusCode.OK
    ids = {each.item_id: each.image.request_id for each in items}
    assert {name: result.accepted.request_id for name, result in results.items()} == ids
    assert {result.accepted.state for result in results.values()} == {pb.STATE_PENDING}
    assert stream.messages < len(items)
    messages = await take(sqs, own_servers.stack.queue_url, len(items))
    assert {message.request_id for message in messages} == set(ids.values())


async def test_a_stream_without_an_item_ends_ok(servers: ServerFactory) -> None:
    """No items, no results, no error."""
    async with servers.running() as server:
        stream = ItemStream(server.stub)
        await stream.close()
        assert await stream.results() == {}
        assert await stream.code() is grpc.StatusCode.OK


async def test_an_item_is_answered_while_the_stream_is_open(servers: ServerFactory) -> None:
    """On a quiet stream each item is answered at once."""
    async with servers.running() as server:
        stream = ItemStream(server.stub)
        for name in ("first", "second"):
            await stream.send(item(name, submit_request()))
            (result,) = await stream.read()
            assert (result.item_id, result.accepted.revision) == (name, 1)
        await stream.close()
        assert await stream.read() == []


async def test_results_come_in_any_order(servers: ServerFactory) -> None:
    """A rejected item is answered before an earlier one that waits for the queue."""
    sender = blocking_sender(servers)
    async with servers.running(sender=sender) as server:
        stream = ItemStream(server.stub)
        await stream.send(item("slow", submit_request()))
        await sender.reached(1)
        await stream.send(item("bad", pb.SubmitImageRequest()))
        assert [result.item_id for result in await stream.read()] == ["bad"]
        sender.released.set()
        assert [result.item_id for result in await stream.read()] == ["slow"]
        await stream.close()
        assert await stream.read() == []


BAD = {
    "url": (submit_request(url="ftp://a.example/"), ["image.url"]),
    "customer": (pb.SubmitImageRequest(url="https://a.example/"), ["image.customer_id"]),
    "id": (submit_request("not-a-uuid"), ["image.request_id"]),
    "nothing": (pb.SubmitImageRequest(), ["image.url", "image.customer_id"]),
}


async def test_an_invalid_item_fails_alone(servers: ServerFactory) -> None:
    """Its error is that of SubmitImage, with fields as paths within the item; the others are accepted."""
    good = numbered_items(50)
    bad = [item(name, image) for name, (image, _) in BAD.items()]
    async with servers.running() as server:
        stream = ItemStream(server.stub)
        stream.send_all([*good[:25], *bad, *good[25:]])
        results = await stream.results()
        assert await stream.code() is grpc.StatusCode.OK
    assert names(results, "accepted") == {each.item_id for each in good}
    for name, (_, fields) in BAD.items():
        error = results[name].error
        assert (error.code, error.reason) == (code_pb2.INVALID_ARGUMENT, "INVALID_REQUEST")
        assert [violation.field for violation in error.field_violations] == fields
        assert all(violation.description for violation in error.field_violations)
        assert not error.HasField("retry_delay")


@pytest.mark.parametrize(("sent", "echoed"), [("", ""), ("x" * 65, "x" * 64), ("ä" * 33, "ä" * 32)])
async def test_an_invalid_item_id_is_rejected(
    servers: ServerFactory, sent: str, echoed: str
) -> None:
    """Item ids have 1 to 64 bytes; a longer one is truncated at a character boundary and returned."""
    async with servers.running() as server:
        stream = ItemStream(server.stub)
        stream.send_all([item(sent, submit_request())])
        (result,) = (await stream.results()).values()
    assert result.item_id == echoed
    assert [violation.field for violation in result.error.field_violations] == ["item_id"]


async def test_an_id_is_accepted_once_by_stream_or_call(
    own_servers: ServerFactory, sqs: SQSClient
) -> None:
    """The same id twice in a stream and once by SubmitImage is one request; with other content it is rejected."""
    image = submit_request(new_id())
    other = submit_request(image.request_id, url="https://a.example/other")
    async with own_servers.running() as server:
        stream = ItemStream(server.stub)
        stream.send_all([item("first", image), item("second", image)])
        results = await stream.results()
        unary = await server.stub.SubmitImage(image)
        again = ItemStream(server.stub)
        again.send_all([item("third", image), item("other", other)])
        results |= await again.results()
    for name in ("first", "second", "third"):
        assert results[name].accepted == unary
    error = results["other"].error
    assert (error.code, error.reason) == (code_pb2.ALREADY_EXISTS, "REQUEST_ID_REUSED")
    (message,) = await take(sqs, own_servers.stack.queue_url, 1)
    assert not message.resent


async def test_an_outage_is_reported_per_item(
    servers: ServerFactory, proxy: AwsProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While AWS is down items get UNAVAILABLE with a retry delay; afterwards the same stream accepts them."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
    items = numbered_items(30)
    async with open_aws() as aws, replace(servers, aws=aws).running() as server:
        stream = ItemStream(server.stub)
        proxy.hook = cut
        for each in items:
            await stream.send(each)
        results: dict[str, pb.SubmitImagesResult] = {}
        while len(results) < len(items):
            results |= {result.item_id: result for result in await stream.read()}
        for result in results.values():
            error = result.error
            assert (error.code, error.reason) == (code_pb2.UNAVAILABLE, "DEPENDENCY_UNAVAILABLE")
            assert error.HasField("retry_delay")
        proxy.hook = pass_on
        stream.send_all(items)
        results = await stream.results()
        assert await stream.code() is grpc.StatusCode.OK
    assert len(names(results, "accepted")) == len(items)
