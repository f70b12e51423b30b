"""WatchRequest: the current state comes first, no change is lost, and nothing stays watched at the end."""

import asyncio
import uuid
from collections.abc import Sequence
from typing import Any

import grpc
import pytest

from core.dynamodb.tables import StatusSnapshot, Tables
from core.errors import DependencyUnavailable
from core.runtime.clock import now_ms
from harness.grpc_client import connect, ended_ok, expect_refusal, refusal, states, submit_request
from harness.outcomes import complete, fail
from harness.running_server import RunningServer, ServerFactory
from imageservice.v1 import image_service_pb2 as pb

PENDING = (pb.STATE_PENDING, 1)
COMPLETED = (pb.STATE_COMPLETED, 2)
FAILED = (pb.STATE_FAILED, 2)
SCALED_DOWN: dict[str, Any] = {
    "keepalive_time_s": 60 / 60,
    "keepalive_min_client_interval_s": 5 / 60,
}
"""The defaults, 60 times faster, except the time to answer a ping, which a busy machine may need."""


class CountingTables(Tables):
    """Counts the polls and their keys, and fails the first `failures` polls."""

    failures = 0
    polls = 0
    largest = 0

    async def read_statuses(self, request_ids: Sequence[str]) -> dict[str, StatusSnapshot]:
        self.polls += 1
        self.largest = max(self.largest, len(request_ids))
        self._seen().set()
        if self.polls <= self.failures:
            raise DependencyUnavailable("the table is down")
        return await super().read_statuses(request_ids)

    async def wait_for(self, polls: int) -> None:
        while self.polls < polls:
            self._seen().clear()
            await self._seen().wait()

    def _seen(self) -> asyncio.Event:
        if not hasattr(self, "_event"):
            self._event = asyncio.Event()
        return self._event


async def submitted(server: RunningServer, count: int) -> list[str]:
    ids = [str(uuid.uuid4()) for _ in range(count)]
    await asyncio.gather(*(server.stub.SubmitImage(submit_request(each)) for each in ids))
    return ids


def watch_request(ids: Sequence[str]) -> pb.WatchRequestRequest:
    return pb.WatchRequestRequest(request_ids=ids)


async def test_a_watch_streams_each_state_and_ends(servers: ServerFactory, tables: Tables) -> None:
    """First the current state, then each change, with image and failure; then the stream ends OK."""
    async with servers.running() as server:
        one, two, three = await submitted(server, 3)
        await fail(tables, three)
        call = server.stub.WatchRequest(watch_request([one, two, three]))
        assert await states(call, 3) == {one: PENDING, two: PENDING, three: FAILED}
        await complete(tables, two)
        response = await call.read()
        assert isinstance(response, pb.WatchRequestResponse)
        assert response.request.image.public_url.startswith(servers.stack.public_base_url)
        await fail(tables, one)
        assert await states(call, 1) == {one: FAILED}
        assert await ended_ok(call)
        assert server.lifecycle.watcher.watched == 0


async def test_a_watch_survives_a_restart(servers: ServerFactory, tables: Tables) -> None:
    """The client calls again and loses nothing: the first message contains the changes made meanwhile."""
    async with servers.running() as server:
        ids = await submitted(server, 20)
        call = server.stub.WatchRequest(watch_request(ids))
        assert await states(call, 20) == dict.fromkeys(ids, PENDING)
        for request_id in ids[:5]:
            await complete(tables, request_id)
        assert await states(call, 5) == dict.fromkeys(ids[:5], COMPLETED)
        draining = asyncio.create_task(server.stop())
        error = await expect_refusal(call.read())
        await draining
        assert (error.code, error.reason) == (grpc.StatusCode.UNAVAILABLE, "SERVER_DRAINING")
        assert error.retry_after is not None
        for request_id in ids[5:10]:
            await fail(tables, request_id)
        address = f"127.0.0.1:{server.port}"
        async with servers.running(grpc_address=address):
            call = server.stub.WatchRequest(watch_request(ids), wait_for_ready=True)
            assert await states(call, 20) == {
                **dict.fromkeys(ids[:5], COMPLETED),
                **dict.fromkeys(ids[5:10], FAILED),
                **dict.fromkeys(ids[10:], PENDING),
            }
            for request_id in ids[10:]:
                await complete(tables, request_id)
            assert await states(call, 10) == dict.fromkeys(ids[10:], COMPLETED)
            assert await ended_ok(call)


async def test_a_quiet_watch_survives_many_pings(servers: ServerFactory, tables: Tables) -> None:
    """A client that pings often while nothing happens is not closed with too_many_pings.

    gRPC's client sends a ping a second at most, and its server by default closes at the fourth or fifth.
    """
    counting = servers.tables(CountingTables)
    often = [
        ("grpc.keepalive_time_ms", 100),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),
    ]
    async with (
        servers.running(
            tables=counting,
            **SCALED_DOWN,
            watch_shortest_interval_s=0.1,
            watch_longest_interval_s=0.1,
        ) as server,
        connect(server.port, often) as stub,
    ):
        (request_id,) = await submitted(server, 1)
        call = stub.WatchRequest(watch_request([request_id]))
        assert await states(call, 1) == {request_id: PENDING}
        await counting.wait_for(60)
        await complete(tables, request_id)
        assert await states(call, 1) == {request_id: COMPLETED}


async def test_a_watch_resumes_after_the_maximum_connection_age(
    servers: ServerFactory, tables: Tables
) -> None:
    """After the maximum connection age and its grace the client gets UNAVAILABLE, and continues on a new connection."""
    async with servers.running(max_connection_age_s=1, max_connection_age_grace_s=1) as server:
        (request_id,) = await submitted(server, 1)
        call = server.stub.WatchRequest(watch_request([request_id]))
        assert await states(call, 1) == {request_id: PENDING}
        with pytest.raises(grpc.aio.AioRpcError) as broken:
            await call.read()
        assert refusal(broken.value).code is grpc.StatusCode.UNAVAILABLE
        await complete(tables, request_id)
        call = server.stub.WatchRequest(watch_request([request_id]))
        assert await states(call, 1) == {request_id: COMPLETED}
        assert await ended_ok(call)


async def test_streams_share_reads(servers: ServerFactory, tables: Tables) -> None:
    """However many streams watch an id, a poll reads it once, in one call with the others."""
    counting = servers.tables(CountingTables)
    async with servers.running(tables=counting) as server:
        ids = await submitted(server, 10)
        calls = [server.stub.WatchRequest(watch_request(ids)) for _ in range(8)]
        for call in calls:
            assert await states(call, 10) == dict.fromkeys(ids, PENDING)
        assert server.lifecycle.watcher.watched == 10
        before = counting.polls
        await counting.wait_for(before + 3)
        await asyncio.gather(*(complete(tables, request_id) for request_id in ids))
        for call in calls:
            assert await states(call, 10) == dict.fromkeys(ids, COMPLETED)
        assert counting.largest == 10


async def test_a_disconnected_client_leaves_nothing_watched(servers: ServerFactory) -> None:
    """When a client disconnects, its ids are no longer read; those of others are."""
    counting = servers.tables(CountingTables)
    async with servers.running(tables=counting) as server:
        shared, alone = await submitted(server, 2)
        staying = server.stub.WatchRequest(watch_request([shared]))
        leaving = server.stub.WatchRequest(watch_request([shared, alone]))
        await states(staying, 1)
        await states(leaving, 2)
        assert server.lifecycle.watcher.watched == 2
        leaving.cancel()
        while server.lifecycle.watcher.watched == 2:
            await counting.wait_for(counting.polls + 1)
        assert server.lifecycle.watcher.watched == 1
        staying.cancel()


async def test_an_outage_does_not_break_a_watch(servers: ServerFactory, tables: Tables) -> None:
    """While the table is unavailable the stream stays open, and sends the missed changes afterwards."""
    counting = servers.tables(CountingTables)
    counting.failures = 4
    async with servers.running(tables=counting) as server:
        (request_id,) = await submitted(server, 1)
        call = server.stub.WatchRequest(watch_request([request_id]))
        assert await states(call, 1) == {request_id: PENDING}
        await complete(tables, request_id)
        assert await states(call, 1) == {request_id: COMPLETED}
        assert counting.polls > 4


async def test_a_reopened_request_is_streamed_again(servers: ServerFactory, tables: Tables) -> None:
    """While the stream waits for another id, it sends the new state of a FAILED request that is reopened."""
    async with servers.running(watch_longest_interval_s=0.1) as server:
        failed, other = await submitted(server, 2)
        await fail(tables, failed)
        call = server.stub.WatchRequest(watch_request([failed, other]))
        assert await states(call, 2) == {failed: FAILED, other: PENDING}
        await tables.reopen(failed, 2, now=now_ms())
        assert await states(call, 1) == {failed: (pb.STATE_PENDING, 3)}
        await complete(tables, other)
        assert await states(call, 1) == {other: COMPLETED}
        await complete(tables, failed, revision=3)
        assert await states(call, 1) == {failed: (pb.STATE_COMPLETED, 4)}
        assert await ended_ok(call)


async def test_a_watch_of_an_unknown_id_is_rejected(servers: ServerFactory) -> None:
    """One unknown id makes the whole watch NOT_FOUND, and no id stays watched."""
    async with servers.running() as server:
        (known,) = await submitted(server, 1)
        call = server.stub.WatchRequest(watch_request([known, str(uuid.uuid4())]))
        error = await expect_refusal(call.read())
        assert (error.code, error.reason) == (grpc.StatusCode.NOT_FOUND, "REQUEST_NOT_FOUND")
        error = await expect_refusal(server.stub.WatchRequest(watch_request([known, known])).read())
        assert (error.reason, error.fields) == ("INVALID_REQUEST", ("request_ids[1]",))
        assert server.lifecycle.watcher.watched == 0


async def test_a_server_at_its_limit_rejects_watches(servers: ServerFactory) -> None:
    """At the limit a watch is rejected with a retry delay; when a stream ends, its capacity is free again."""
    async with servers.running(max_watched_requests=2) as server:
        one, two, three = await submitted(server, 3)
        call = server.stub.WatchRequest(watch_request([one, two]))
        await states(call, 2)
        error = await expect_refusal(server.stub.WatchRequest(watch_request([three])).read())
        assert (error.code, error.reason) == (
            grpc.StatusCode.RESOURCE_EXHAUSTED,
            "TOO_MANY_WATCHED",
        )
        assert error.retry_after is not None
        call.cancel()
