"""Back-pressure on SubmitImages streams, and how streams end."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import grpc
import pytest
from types_aiobotocore_sqs import SQSClient

from cli.local.stack import StackOutputs
from harness.blocking_sender import BlockingSender, blocking_sender
from harness.grpc_client import expect_refusal, refusal, submit_request
from harness.item_stream import ItemStream, item, names, numbered_items
from harness.messages import take
from harness.running_server import RunningServer, ServerFactory
from imageservice.v1 import image_service_pb2 as pb
from server.metrics import ITEMS, PAUSED_STREAMS

UNKNOWN_REQUEST = pb.GetStatusRequest(request_id="6d2f0c1e-3a5b-4a53-9a35-0a4d8f0c2a11")


@pytest.fixture
def own_servers(servers: ServerFactory, own_stack: StackOutputs) -> ServerFactory:
    """Servers with a queue of their own for this test."""
    return replace(servers, stack=own_stack)


def new_id() -> str:
    return str(uuid.uuid4())


def paused_streams() -> float:
    (metric,) = PAUSED_STREAMS.collect()
    return metric.samples[0].value


def items_counted() -> float:
    """Return the number of accepted items of all streams since the tests started."""
    (metric,) = ITEMS.collect()
    labels = {"grpc_method": "SubmitImages", "grpc_code": "OK"}
    totals = [each for each in metric.samples if each.name.endswith("_total")]
    return sum(each.value for each in totals if each.labels == labels)


async def stalled(server: RunningServer, sender: BlockingSender) -> None:
    """Wait until two SubmitImage calls in a row reach the queue and no item of a stream does."""
    before = -1
    while sender.sent != before + 2:
        before = sender.sent
        for _ in range(2):
            await server.stub.SubmitImage(submit_request())


@asynccontextmanager
async def unread_stream(server: RunningServer, sender: BlockingSender) -> AsyncIterator[None]:
    """Hold a stream of many items, whose client does not read its results, until the server reads no more of them."""
    window_only = [("grpc.http2.bdp_probe", 0), ("grpc.http2.lookahead_bytes", 64 * 1024)]
    address = f"127.0.0.1:{server.port}"
    async with grpc.aio.insecure_channel(address, options=window_only) as channel:
        stream = ItemStream.on(channel)
        sending = stream.send_all(numbered_items(4_000))
        await stalled(server, sender)
        try:
            yield
        finally:
            stream.cancel()
            await asyncio.gather(sending, return_exceptions=True)


async def test_a_stream_reads_no_more_than_its_limit(servers: ServerFactory) -> None:
    """When the limit is reached, no further item is read; none is rejected."""
    sender = blocking_sender(servers)
    async with servers.running(sender=sender, max_stream_submits=20) as server:
        stream = ItemStream(server.stub)
        stream.send_all(numbered_items(200))
        await sender.reached(20)
        # The server would have read item 21 within the time of a whole call.
        await expect_refusal(server.stub.GetStatus(UNKNOWN_REQUEST))
        assert sender.waiting == 20
        sender.released.set()
        results = await stream.results()
    assert len(names(results, "accepted")) == 200
    assert sender.most <= 20


async def test_a_client_that_does_not_read_gets_back_pressure(
    servers: ServerFactory,
) -> None:
    """The server reads no more than its limit and the buffers of the connection; later all items are answered."""
    count, limit, window = 4_000, 50, 64 * 1024
    shortest = pb.SubmitImagesResult(
        item_id="0", accepted=pb.SubmitImageResponse(request_id=new_id(), revision=1)
    )
    # A full window of results for the client, and the same amount for other buffers.
    bound = limit + 2 * window // shortest.ByteSize()
    assert bound < count
    sender = blocking_sender(servers, released=True)
    window_only = [("grpc.http2.bdp_probe", 0), ("grpc.http2.lookahead_bytes", window)]
    async with (
        servers.running(sender=sender, max_stream_submits=limit) as server,
        grpc.aio.insecure_channel(f"127.0.0.1:{server.port}", options=window_only) as channel,
    ):
        stream = ItemStream.on(channel)
        stream.send_all(numbered_items(count))
        # Without back-pressure, everything would be read before the first result is read.
        while sender.sent < count and (sender.sent < bound // 4 or not paused_streams()):  # noqa: ASYNC110  the server has no Event
            await asyncio.sleep(0)
        results: dict[str, pb.SubmitImagesResult] = {}
        while together := await stream.read():
            assert sender.sent <= stream.results_read + bound
            results |= {result.item_id: result for result in together}
    assert len(names(results, "accepted")) == count


async def test_streams_leave_half_of_the_capacity_to_unary_calls(servers: ServerFactory) -> None:
    """All streams together use half of the capacity and wait for more; nothing gets OVERLOADED."""
    sender = blocking_sender(servers)
    async with servers.running(sender=sender, max_pending_submits=20) as server:
        streams = [ItemStream(server.stub) for _ in range(3)]
        for each in streams:
            each.send_all(numbered_items(40))
        await sender.reached(10)
        unary = asyncio.ensure_future(server.stub.SubmitImage(submit_request(new_id())))
        await sender.reached(11)
        assert sender.waiting == 11
        sender.released.set()
        answers = await asyncio.gather(*(each.results() for each in streams))
        await unary
    assert [len(names(results, "accepted")) for results in answers] == [40, 40, 40]


async def test_a_cancelled_stream_leaves_no_row_without_a_message(
    own_servers: ServerFactory, sqs: SQSClient
) -> None:
    """Items that were read are accepted although the client has disconnected, and a drain waits for them."""
    sender = blocking_sender(own_servers)
    items = numbered_items(30)
    async with own_servers.running(sender=sender) as server:
        stream = ItemStream(server.stub)
        for each in items:
            await stream.send(each)
        await sender.reached(30)
        stream.cancel()
        await server.lifecycle._middleware.streams.wait_idle()
        draining = asyncio.create_task(server.lifecycle.drain())
        late = await expect_refusal(server.stub.SubmitImage(submit_request()))
        assert late.reason == "SERVER_DRAINING"
        sender.released.set()
        await draining
    messages = await take(sqs, own_servers.stack.queue_url, 30)
    assert {message.request_id for message in messages} == {each.image.request_id for each in items}


async def test_items_of_a_cancelled_stream_are_counted(servers: ServerFactory) -> None:
    """Metrics count every item by its result, even if the client has disconnected."""
    sender = blocking_sender(servers)
    before = items_counted()
    async with servers.running(sender=sender) as server:
        stream = ItemStream(server.stub)
        for each in numbered_items(30):
            await stream.send(each)
        await sender.reached(30)
        stream.cancel()
        await server.lifecycle._middleware.streams.wait_idle()
        sender.released.set()
    assert items_counted() == before + 30


async def test_a_client_that_does_not_read_does_not_delay_a_drain(
    servers: ServerFactory,
) -> None:
    """A client that does not read its results only delays its own answers."""
    sender = blocking_sender(servers, released=True)
    async with (
        servers.running(sender=sender, max_stream_submits=50, drain_grace_s=2) as server,
        unread_stream(server, sender),
    ):
        await server.lifecycle.drain()
        assert sender.drained


async def test_a_drain_serves_other_calls_while_a_client_does_not_read(
    servers: ServerFactory,
) -> None:
    """Clients with one connection have no other server: one slow stream must not take this one away from them."""
    sender = blocking_sender(servers, released=True)
    async with servers.running(sender=sender, max_stream_submits=50, drain_grace_s=3_600) as server:
        async with unread_stream(server, sender):
            draining = asyncio.create_task(server.lifecycle.drain())
            with pytest.raises(grpc.aio.AioRpcError) as late:
                await ItemStream(server.stub).read()
            assert refusal(late.value).reason == "SERVER_DRAINING"
            read = await expect_refusal(server.stub.GetStatus(UNKNOWN_REQUEST))
            assert read.reason == "REQUEST_NOT_FOUND"
            await server.stub.SubmitImage(submit_request())
        await draining


async def test_a_drain_ends_an_idle_stream_at_once(servers: ServerFactory) -> None:
    """An idle stream does not delay a drain; its client gets an error that asks for a retry."""
    async with servers.running(drain_grace_s=3_600) as server:
        stream = ItemStream(server.stub)
        await stream.send(item("only", submit_request()))
        await stream.read()
        await server.lifecycle.drain()
        with pytest.raises(grpc.aio.AioRpcError) as ended:
            await stream.read()
    error = refusal(ended.value)
    assert (error.code, error.reason) == (grpc.StatusCode.UNAVAILABLE, "SERVER_DRAINING")
    assert error.retry_after is not None


async def test_a_drain_answers_the_items_that_were_read(servers: ServerFactory) -> None:
    """Items in progress are answered before the stream ends; later items get no result, or SERVER_DRAINING."""
    sender = blocking_sender(servers)
    async with servers.running(sender=sender) as server:
        stream = ItemStream(server.stub)
        for each in numbered_items(30):
            await stream.send(each)
        await sender.reached(30)
        draining = asyncio.create_task(server.lifecycle.drain())
        with pytest.raises(grpc.aio.AioRpcError) as late:
            await ItemStream(server.stub).read()
        assert refusal(late.value).reason == "SERVER_DRAINING"
        await stream.send(item("late", submit_request()))
        sender.released.set()
        results: dict[str, pb.SubmitImagesResult] = {}
        while len(names(results, "accepted")) < 30:
            results |= {result.item_id: result for result in await stream.read()}
        with pytest.raises(grpc.aio.AioRpcError) as ended:
            await stream.results()
        await draining
    assert refusal(ended.value).reason == "SERVER_DRAINING"
    assert names(results, "accepted") == {str(number) for number in range(30)}


async def test_a_stream_is_rejected_during_a_drain(servers: ServerFactory) -> None:
    """A stream that opens during a drain ends with SERVER_DRAINING."""
    sender = blocking_sender(servers)
    async with servers.running(sender=sender) as server:
        submit = asyncio.ensure_future(server.stub.SubmitImage(submit_request()))
        await sender.reached(1)
        draining = asyncio.create_task(server.lifecycle.drain())
        await expect_refusal(server.stub.SubmitImage(submit_request()))
        stream = ItemStream(server.stub)
        with pytest.raises(grpc.aio.AioRpcError) as ended:
            await stream.read()
        sender.released.set()
        await submit
        await draining
    assert refusal(ended.value).reason == "SERVER_DRAINING"
