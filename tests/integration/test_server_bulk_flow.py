"""How much a stream of submits may have under way, and how it ends."""

import asyncio
import uuid
from dataclasses import replace

import grpc
import pytest
from types_aiobotocore_sqs import SQSClient

from cli.local.stack import StackOutputs
from harness.blocking_sender import BlockingSender, blocking_sender
from harness.grpc_client import refusal, refused, submit_request
from harness.item_stream import ItemStream, item, names, numbered
from harness.messages import take
from harness.running_server import RunningServer, ServerFactory
from imageservice.v1 import image_service_pb2 as pb
from server.metrics import ITEMS, PAUSED_STREAMS

UNKNOWN_REQUEST = pb.GetStatusRequest(request_id="6d2f0c1e-3a5b-4a53-9a35-0a4d8f0c2a11")


@pytest.fixture
def own_servers(servers: ServerFactory, own_stack: StackOutputs) -> ServerFactory:
    """Servers whose queue holds this test's messages alone."""
    return replace(servers, stack=own_stack)


def new_id() -> str:
    return str(uuid.uuid4())


def paused_streams() -> float:
    (metric,) = PAUSED_STREAMS.collect()
    return metric.samples[0].value


def items_counted() -> float:
    """Items of streams that were accepted, since the tests began."""
    (metric,) = ITEMS.collect()
    labels = {"grpc_method": "SubmitImages", "grpc_code": "OK"}
    totals = [each for each in metric.samples if each.name.endswith("_total")]
    return sum(each.value for each in totals if each.labels == labels)


async def stalled(server: RunningServer, sender: BlockingSender) -> None:
    """Return once two single submits pass by, all the way to the queue, while none of a stream does."""
    before = -1
    while sender.sent != before + 2:
        before = sender.sent
        for _ in range(2):
            await server.stub.SubmitImage(submit_request())


async def test_a_stream_holds_no_more_than_its_limit(servers: ServerFactory) -> None:
    """While as many items as allowed are under way no further one is read; none is refused."""
    sender = blocking_sender(servers)
    async with servers.running(sender=sender, max_stream_submits=20) as server:
        stream = ItemStream(server.stub)
        stream.send_all(numbered(200))
        await sender.reached(20)
        # A whole call later the twenty-first would have been read.
        await refused(server.stub.GetStatus(UNKNOWN_REQUEST))
        assert sender.waiting == 20
        sender.released.set()
        results = await stream.results()
    assert len(names(results, "accepted")) == 200
    assert sender.most <= 20


async def test_a_stream_whose_client_does_not_read_is_not_read_either(
    servers: ServerFactory,
) -> None:
    """What the server takes stays within its limit and what the connection buffers; later all is answered."""
    count, limit, window = 4_000, 50, 64 * 1024
    shortest = pb.SubmitImagesResult(
        item_id="0", accepted=pb.SubmitImageResponse(request_id=new_id(), revision=1)
    )
    # A window full of results for the client, and as much again for what is buffered on the way.
    bound = limit + 2 * window // shortest.ByteSize()
    assert bound < count
    sender = blocking_sender(servers, released=True)
    window_only = [("grpc.http2.bdp_probe", 0), ("grpc.http2.lookahead_bytes", window)]
    async with (
        servers.running(sender=sender, max_stream_submits=limit) as server,
        grpc.aio.insecure_channel(f"127.0.0.1:{server.port}", options=window_only) as channel,
    ):
        stream = ItemStream.on(channel)
        stream.send_all(numbered(count))
        # Were the stream read all the same, everything would be taken before the first result is read.
        while sender.sent < count and (sender.sent < bound // 4 or not paused_streams()):  # noqa: ASYNC110  the server has no Event
            await asyncio.sleep(0)
        results: dict[str, pb.SubmitImagesResult] = {}
        while together := await stream.read():
            assert sender.sent <= stream.taken + bound
            results |= {result.item_id: result for result in together}
    assert len(names(results, "accepted")) == count


async def test_streams_leave_half_of_the_places_to_single_submits(servers: ServerFactory) -> None:
    """Streams together take half of what may be under way and wait for the rest; nothing is OVERLOADED."""
    sender = blocking_sender(servers)
    async with servers.running(sender=sender, max_pending_submits=20) as server:
        streams = [ItemStream(server.stub) for _ in range(3)]
        for each in streams:
            each.send_all(numbered(40))
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
    """What was taken is accepted though its client has gone, and a drain waits for it."""
    sender = blocking_sender(own_servers)
    items = numbered(30)
    async with own_servers.running(sender=sender) as server:
        stream = ItemStream(server.stub)
        for each in items:
            await stream.send(each)
        await sender.reached(30)
        stream.cancel()
        await server.lifecycle._middleware.in_flight.wait_idle()
        draining = asyncio.create_task(server.lifecycle.drain())
        late = await refused(server.stub.SubmitImage(submit_request()))
        assert late.reason == "SERVER_DRAINING"
        sender.released.set()
        await draining
    messages = await take(sqs, own_servers.stack.queue_url, 30)
    assert {message.request_id for message in messages} == {each.image.request_id for each in items}


async def test_items_of_a_cancelled_stream_are_counted(servers: ServerFactory) -> None:
    """What was taken counts by how it ended, whether or not its client was there to hear of it."""
    sender = blocking_sender(servers)
    before = items_counted()
    async with servers.running(sender=sender) as server:
        stream = ItemStream(server.stub)
        for each in numbered(30):
            await stream.send(each)
        await sender.reached(30)
        stream.cancel()
        await server.lifecycle._middleware.in_flight.wait_idle()
        sender.released.set()
    assert items_counted() == before + 30


async def test_a_drain_settles_what_was_taken_before_a_client_has_read_it(
    servers: ServerFactory,
) -> None:
    """A client that does not read its results holds up its own answer, and nothing else of the drain."""
    window_only = [("grpc.http2.bdp_probe", 0), ("grpc.http2.lookahead_bytes", 64 * 1024)]
    sender = blocking_sender(servers, released=True)
    async with servers.running(sender=sender, max_stream_submits=50, drain_grace_s=2) as server:
        address = f"127.0.0.1:{server.port}"
        async with grpc.aio.insecure_channel(address, options=window_only) as channel:
            stream = ItemStream.on(channel)
            sending = stream.send_all(numbered(4_000))
            await stalled(server, sender)
            await server.lifecycle.drain()
            assert sender.drained
            stream.cancel()
            await asyncio.gather(sending, return_exceptions=True)


async def test_a_drain_ends_an_idle_stream_at_once(servers: ServerFactory) -> None:
    """An open stream that asks nothing does not hold a drain up; its client is told to come back."""
    async with servers.running(drain_grace_s=3_600) as server:
        stream = ItemStream(server.stub)
        await stream.send(item("only", submit_request()))
        await stream.read()
        await server.lifecycle.drain()
        with pytest.raises(grpc.aio.AioRpcError) as ended:
            await stream.read()
    told = refusal(ended.value)
    assert (told.code, told.reason) == (grpc.StatusCode.UNAVAILABLE, "SERVER_DRAINING")
    assert told.retry_after is not None


async def test_a_drain_answers_what_a_stream_took(servers: ServerFactory) -> None:
    """Items under way are answered before the stream ends; what comes later gets no answer, or SERVER_DRAINING."""
    sender = blocking_sender(servers)
    async with servers.running(sender=sender) as server:
        stream = ItemStream(server.stub)
        for each in numbered(30):
            await stream.send(each)
        await sender.reached(30)
        draining = asyncio.create_task(server.lifecycle.drain())
        late = await refused(server.stub.SubmitImage(submit_request()))
        assert late.reason == "SERVER_DRAINING"
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


async def test_a_stream_is_refused_while_draining(servers: ServerFactory) -> None:
    """A stream that opens during a drain ends with SERVER_DRAINING."""
    sender = blocking_sender(servers)
    async with servers.running(sender=sender) as server:
        held = asyncio.ensure_future(server.stub.SubmitImage(submit_request()))
        await sender.reached(1)
        draining = asyncio.create_task(server.lifecycle.drain())
        await refused(server.stub.SubmitImage(submit_request()))
        stream = ItemStream(server.stub)
        with pytest.raises(grpc.aio.AioRpcError) as ended:
            await stream.read()
        sender.released.set()
        await held
        await draining
    assert refusal(ended.value).reason == "SERVER_DRAINING"
