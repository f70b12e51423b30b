"""SIGTERM to a server under load: each call is answered, rejected with a reason, or finds the connection closed."""

import asyncio
import signal
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable

import grpc
import pytest
import pytest_asyncio

from harness.aws import RecordingAws
from harness.callers import Callers, connected
from harness.grpc_client import expect_refusal, submit_request
from harness.item_stream import ItemStream, numbered_items
from harness.stores import stores_of
from harness.system import System, system
from harness.waiting import wait_for
from imageservice.v1 import image_service_pb2 as pb
from imageservice.v1 import image_service_pb2_grpc

CALLERS = 100
RATE = 800
"""Calls per second. On two cores this is more than the client, the server and the embedded AWS can do together."""
WARM_UP = 200
"""Acknowledged submits before SIGTERM."""
STREAMS, WATCHES = 20, 50

EXPLAINED = {(grpc.StatusCode.UNAVAILABLE, "SERVER_DRAINING", True)}
NO_SERVER = {(grpc.StatusCode.UNAVAILABLE, "", False)}
"""gRPC's own error for a connection that is refused or closed."""

Load = Callable[[Callers, asyncio.Event], Awaitable[object]]


async def closed_loops(callers: Callers, stop: asyncio.Event) -> None:
    await asyncio.gather(*(callers.closed_loop(stop) for _ in range(CALLERS)))


async def open_loop(callers: Callers, stop: asyncio.Event) -> None:
    await callers.open_loop(stop, RATE)


@pytest_asyncio.fixture
async def running(embedded_aws: RecordingAws) -> AsyncIterator[System]:
    # As in production: a forked process has no supervisor of workers.
    async with system(embedded_aws, forked=False) as started:
        yield started


@pytest.mark.parametrize(
    ("load", "connections", "workers", "delay_s"),
    [
        (closed_loops, 1, "1", "0"),
        (closed_loops, 4, "1", "1"),
        (closed_loops, 4, "2", "0"),
        (open_loop, 1, "1", "0"),
        (open_loop, 1, "1", "1"),
        (open_loop, 4, "1", "0"),
        (open_loop, 4, "2", "0"),
    ],
)
async def test_no_call_is_cancelled_by_a_stop(
    running: System, load: Load, connections: int, workers: str, delay_s: str
) -> None:
    """Calls that gRPC has queued are served or get SERVER_DRAINING with a delay, and no acknowledged submit is lost."""
    process = await running.start_server("--workers", workers, DRAIN_DELAY_S=delay_s)
    async with connected(running.address, connections) as callers, stores_of(running) as stores:
        stop = asyncio.Event()
        calling = asyncio.ensure_future(load(callers, stop))
        await wait_for(lambda: len(callers.accepted) >= WARM_UP, "acknowledged submits")
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0
        stop.set()
        await calling
        assert set(callers.errors) <= EXPLAINED | NO_SERVER, callers.errors
        assert set(callers.errors) >= EXPLAINED, callers.errors
        rows = {row["requestId"]["S"] for row in await stores.requests()}
        assert callers.accepted <= rows
        queues = running.stack.queue_url, running.stack.bulk_queue_url
        assert sum([await stores.depth(each) for each in queues]) >= len(callers.accepted)


async def test_streams_end_with_a_reason(running: System) -> None:
    """The process ends after the last status of each stream is written: none finds the connection closed."""
    process = await running.start_server()
    async with connected(running.address, 4) as callers:
        stubs = [image_service_pb2_grpc.ImageServiceStub(each) for each in callers.channels]
        (one,) = ids = [str(uuid.uuid4())]
        await stubs[0].SubmitImage(submit_request(one))
        watches = [
            stubs[n % len(stubs)].WatchRequest(pb.WatchRequestRequest(request_ids=ids))
            for n in range(WATCHES)
        ]
        streams = [ItemStream(stubs[n % len(stubs)]) for n in range(STREAMS)]
        for stream in streams:
            for each in numbered_items(3):
                await stream.send(each)
        await asyncio.gather(*(watch.read() for watch in watches))
        await asyncio.gather(*(stream.read() for stream in streams))
        process.send_signal(signal.SIGTERM)
        ends = await asyncio.gather(
            *(expect_refusal(watch.read()) for watch in watches),
            *(expect_refusal(stream.results()) for stream in streams),
        )
        assert {(e.code, e.reason, e.retry_after is not None) for e in ends} == EXPLAINED
        assert await process.wait() == 0
