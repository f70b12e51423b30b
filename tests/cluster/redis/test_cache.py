"""A COMPLETED request that one process has seen is read by no other one; nothing else is ever kept."""

import time
import uuid
from dataclasses import replace

import pytest

from consumer.notify.outcome import outcome_of
from consumer.notify.redis_publisher import RedisPublisher
from core.dynamodb.tables import Tables
from core.redis.codec import CompletedRequest, encode
from core.redis.completed_requests import CompletedRequestStore, RequestEvent
from core.runtime.clock import now_ms
from harness.counting_tables import CountingTables
from harness.grpc_client import submit_request
from harness.outcomes import complete, fail
from harness.redis_server import RedisServer
from harness.running_server import RunningServer, ServerFactory
from imageservice.v1 import image_service_pb2 as pb


async def submitted(server: RunningServer) -> str:
    request_id = str(uuid.uuid4())
    await server.stub.SubmitImage(submit_request(request_id))
    return request_id


async def status(server: RunningServer, request_id: str) -> pb.ImageRequest:
    return (await server.stub.GetStatus(pb.GetStatusRequest(request_id=request_id))).request


async def completed_of(tables: Tables, request_id: str) -> CompletedRequest:
    request, image = await tables.read_request(request_id), await tables.read_image(request_id)
    assert request is not None
    assert image is not None
    return CompletedRequest(request, image)


async def test_what_a_consumer_announced_is_read_from_no_table(
    servers: ServerFactory, tables: Tables, redis: RedisServer, publisher: RedisPublisher
) -> None:
    """Not by the first server that is asked, and with the same answer as from the tables."""
    counting = servers.tables(CountingTables)
    async with (
        servers.running() as without,
        servers.running(tables=counting, redis_url=redis.url) as server,
    ):
        request_id = await submitted(without)
        await complete(tables, request_id)
        completed = await completed_of(tables, request_id)
        publisher.publish(outcome_of(completed.request, completed.image))
        await publisher.drain()
        assert await status(server, request_id) == await status(without, request_id)
        assert counting.reads == 0


async def test_what_one_server_read_another_does_not(
    servers: ServerFactory, tables: Tables, redis: RedisServer
) -> None:
    """What no consumer told is kept by the first server that reads it."""
    first, second = servers.tables(CountingTables), servers.tables(CountingTables)
    async with (
        servers.running(tables=first, redis_url=redis.url) as one,
        servers.running(tables=second, redis_url=redis.url) as other,
    ):
        request_id = await submitted(one)
        await complete(tables, request_id)
        told = await status(one, request_id)
        await redis.holds(1)
        assert await status(other, request_id) == told
    assert (first.reads, second.reads) == (2, 0)


async def test_only_what_cannot_change_is_kept(
    servers: ServerFactory, tables: Tables, redis: RedisServer, publisher: RedisPublisher
) -> None:
    """PENDING, FAILED, reopened and COMPLETED after all: each is seen at once, and only the last is in Redis."""
    async with servers.running(redis_url=redis.url) as server:
        request_id = await submitted(server)
        assert (await status(server, request_id)).state == pb.STATE_PENDING
        await fail(tables, request_id)
        failed = await tables.read_request(request_id)
        assert failed is not None
        publisher.publish(outcome_of(failed, None))
        await publisher.drain()
        assert (await status(server, request_id)).state == pb.STATE_FAILED
        await tables.reopen(request_id, 2, now=now_ms())
        assert (await status(server, request_id)).state == pb.STATE_PENDING
        assert await redis.documents() == {}
        await complete(tables, request_id, revision=3)
        assert (await status(server, request_id)).state == pb.STATE_COMPLETED
        await redis.holds(1)


@pytest.mark.parametrize("kind", ["garbage", "another's", "not ended", "of other types", "empty"])
async def test_a_document_that_is_none_is_ignored(
    servers: ServerFactory,
    tables: Tables,
    redis: RedisServer,
    shared: CompletedRequestStore,
    kind: str,
) -> None:
    """The tables are read, and a right document takes its place."""
    async with servers.running() as without:
        request_id, other = await submitted(without), await submitted(without)
        await complete(tables, request_id)
        await complete(tables, other)
        right = encode(await completed_of(tables, request_id))
        wrong = {
            "garbage": b"\x00\xff{",
            "another's": encode(await completed_of(tables, other)),
            "not ended": right.replace(b'"COMPLETED"', b'"PENDING"'),
            "of other types": right.replace(b'"width":640', b'"width":"wide"'),
            "empty": b"",
        }[kind]
        assert wrong != right
        key = f"{shared.channel}:{request_id}"
        async with redis.client as client:
            await client.set(key, wrong)
        counting = servers.tables(CountingTables)
        async with servers.running(tables=counting, redis_url=redis.url) as server:
            assert await status(server, request_id) == await status(without, request_id)
        assert counting.reads == 2
        assert (await redis.documents())[key] == right


async def test_what_expires_is_kept_until_then(
    tables: Tables, redis: RedisServer, shared: CompletedRequestStore, servers: ServerFactory
) -> None:
    """By the row's own expiry, or by REDIS_TTL_S where that comes first; what has expired is not kept at all."""
    async with servers.running() as server:
        request_id = await submitted(server)
    await complete(tables, request_id)
    known = await completed_of(tables, request_id)
    key = f"{shared.channel}:{request_id}"
    async with redis.client as client:
        for expires_in, at_most, at_least in ((None, 86_400, 86_300), (500, 500, 400)):
            expires_at = None if expires_in is None else int(time.time()) + expires_in
            request = replace(known.request, expires_at=expires_at)
            await shared.publish([RequestEvent(completed=CompletedRequest(request, known.image))])
            assert at_least < await client.ttl(key) <= at_most
        await client.delete(key)
        expired = replace(known.request, expires_at=int(time.time()))
        await shared.publish([RequestEvent(completed=CompletedRequest(expired, known.image))])
        assert await client.exists(key) == 0
