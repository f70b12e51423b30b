"""Watches get a final state at once, although the poll interval is minutes."""

import asyncio
import uuid
from typing import Any

from consumer.notify.outcome import outcome_of
from consumer.notify.redis_publisher import RedisPublisher
from core.dynamodb.tables import Tables
from core.redis.completed_requests import CompletedRequestStore
from core.runtime.clock import now_ms
from harness.counting_tables import CountingTables
from harness.grpc_client import ended_ok, states, submit_request
from harness.outcomes import complete, fail
from harness.redis_server import RedisServer
from harness.running_server import RunningServer, ServerFactory
from imageservice.v1 import image_service_pb2 as pb

MINUTES: dict[str, Any] = {"watch_shortest_interval_s": 300, "watch_longest_interval_s": 600}
PENDING = (pb.STATE_PENDING, 1)
PUSHED_S = 20
"""Long before the first poll, however slow the machine."""


async def submitted(server: RunningServer) -> str:
    request_id = str(uuid.uuid4())
    await server.stub.SubmitImage(submit_request(request_id))
    return request_id


async def announce(publisher: RedisPublisher, tables: Tables, request_id: str) -> None:
    """Publish the request as a consumer does after it has ended it."""
    request = await tables.read_request(request_id)
    assert request is not None
    publisher.publish(outcome_of(request, await tables.read_image(request_id)))
    await publisher.drain()


def watch(server: RunningServer, *ids: str) -> Any:
    return server.stub.WatchRequest(pb.WatchRequestRequest(request_ids=ids))


async def test_every_final_state_is_pushed(
    servers: ServerFactory,
    tables: Tables,
    redis: RedisServer,
    store: CompletedRequestStore,
    publisher: RedisPublisher,
) -> None:
    """COMPLETED, FAILED, and COMPLETED after a retry. For COMPLETED the server reads no row."""
    counting = servers.tables(CountingTables)
    async with servers.running(tables=counting, redis_url=redis.url, **MINUTES) as server:
        await redis.wait_subscribers(store.channel, 1)
        good, bad = await submitted(server), await submitted(server)
        call = watch(server, good, bad)
        assert await states(call, 2) == {good: PENDING, bad: PENDING}
        async with asyncio.timeout(PUSHED_S):
            await fail(tables, bad)
            await announce(publisher, tables, bad)
            assert await states(call, 1) == {bad: (pb.STATE_FAILED, 2)}
            await tables.reopen(bad, 2, now=now_ms())
            await complete(tables, bad, revision=3)
            await announce(publisher, tables, bad)
            assert await states(call, 1) == {bad: (pb.STATE_COMPLETED, 4)}
            before = counting.reads
            await complete(tables, good)
            await announce(publisher, tables, good)
            assert await states(call, 1) == {good: (pb.STATE_COMPLETED, 2)}
            assert await ended_ok(call)
        assert (counting.reads, counting.polls) == (before, 0)


async def test_events_of_unwatched_requests_cost_no_read(
    servers: ServerFactory, tables: Tables, redis: RedisServer, store: CompletedRequestStore
) -> None:
    """Malformed events cost no read either, and the events after them are delivered."""
    counting = servers.tables(CountingTables)
    async with servers.running(tables=counting, redis_url=redis.url, **MINUTES) as server:
        await redis.wait_subscribers(store.channel, 1)
        request_id = await submitted(server)
        call = watch(server, request_id)
        assert await states(call, 1) == {request_id: PENDING}
        before = counting.reads
        unwatched = [f"{uuid.uuid4()}:2", "", ":", "nonsense", f"{request_id}:", f"{request_id}:-1"]
        old = [f"{request_id}:1", f"{request_id}:{'9' * 400}", "\N{SNOWMAN}:\N{SUPERSCRIPT TWO}"]
        await complete(tables, request_id)
        async with redis.client as client, asyncio.timeout(PUSHED_S):
            await client.publish(store.channel, b"\xff\xfe:3")
            await client.publish(store.channel, "\n".join([*unwatched, *old]))
            await client.publish(store.channel, f"{request_id}:2")
            assert await states(call, 1) == {request_id: (pb.STATE_COMPLETED, 2)}
        assert counting.reads == before + 2


async def test_the_subscription_is_renewed_after_a_restart(
    servers: ServerFactory,
    tables: Tables,
    redis: RedisServer,
    store: CompletedRequestStore,
    publisher: RedisPublisher,
) -> None:
    """After Redis was killed and restarted, events are pushed again."""
    async with servers.running(redis_url=redis.url, **MINUTES) as server:
        await redis.wait_subscribers(store.channel, 1)
        request_id = await submitted(server)
        call = watch(server, request_id)
        assert await states(call, 1) == {request_id: PENDING}
        await redis.kill()
        await redis.start()
        await redis.wait_subscribers(store.channel, 1)
        await complete(tables, request_id)
        async with asyncio.timeout(PUSHED_S):
            await announce(publisher, tables, request_id)
            assert await states(call, 1) == {request_id: (pb.STATE_COMPLETED, 2)}
