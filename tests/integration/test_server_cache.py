"""COMPLETED requests are read from the server's memory, all others from the tables."""

import uuid

from core.dynamodb.tables import Tables
from core.model.request import ImageRequest
from core.runtime.clock import now_ms
from harness.grpc_client import submit_request
from harness.outcomes import complete, fail
from harness.running_server import RunningServer, ServerFactory
from imageservice.v1 import image_service_pb2 as pb


class CountingTables(Tables):
    """Counts the reads of requests."""

    reads = 0

    async def read_request(self, request_id: str) -> ImageRequest | None:
        self.reads += 1
        return await super().read_request(request_id)


async def submitted(server: RunningServer) -> str:
    request_id = str(uuid.uuid4())
    await server.stub.SubmitImage(submit_request(request_id))
    return request_id


async def status(server: RunningServer, request_id: str) -> pb.ImageRequest:
    return (await server.stub.GetStatus(pb.GetStatusRequest(request_id=request_id))).request


async def test_a_completed_request_is_read_once(servers: ServerFactory, tables: Tables) -> None:
    """For any number of calls and watches, always with the same answer."""
    counting = servers.tables(CountingTables)
    async with servers.running(tables=counting) as server:
        request_id = await submitted(server)
        await complete(tables, request_id)
        first = await status(server, request_id)
        assert first.state == pb.STATE_COMPLETED
        assert counting.reads == 1
        assert await status(server, request_id) == first
        watch = server.stub.WatchRequest(pb.WatchRequestRequest(request_ids=[request_id]))
        assert [event.request async for event in watch] == [first]
    assert counting.reads == 1


async def test_a_pending_request_is_never_stale(servers: ServerFactory, tables: Tables) -> None:
    """It is read every time, so a change is visible at once."""
    async with servers.running() as server:
        request_id = await submitted(server)
        assert (await status(server, request_id)).state == pb.STATE_PENDING
        await complete(tables, request_id)
        assert (await status(server, request_id)).state == pb.STATE_COMPLETED


async def test_a_reopened_request_is_pending(servers: ServerFactory, tables: Tables) -> None:
    """FAILED requests are not cached, because they can be reopened."""
    async with servers.running() as server:
        request_id = await submitted(server)
        await fail(tables, request_id)
        assert (await status(server, request_id)).state == pb.STATE_FAILED
        await tables.reopen(request_id, 2, now=now_ms())
        assert (await status(server, request_id)).state == pb.STATE_PENDING


async def test_without_a_cache_every_call_reads(servers: ServerFactory, tables: Tables) -> None:
    """CACHED_REQUESTS=0 disables the cache."""
    counting = servers.tables(CountingTables)
    async with servers.running(tables=counting, cached_requests=0) as server:
        request_id = await submitted(server)
        await complete(tables, request_id)
        for _ in range(3):
            assert (await status(server, request_id)).state == pb.STATE_COMPLETED
    assert counting.reads == 3
