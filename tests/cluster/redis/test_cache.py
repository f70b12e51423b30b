"""The cache in Redis: a COMPLETED request that one process has read is not read again. Nothing else is cached."""

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


async def test_a_published_request_is_not_read_from_the_tables(
    servers: ServerFactory, tables: Tables, redis: RedisServer, publisher: RedisPublisher
) -> None:
    """The response from the cache equals the response from the tables."""
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


async def test_servers_share_the_cache(
    servers: ServerFactory, tables: Tables, redis: RedisServer
) -> None:
    """If no consumer has published the request, the first server that reads it caches it for the others."""
    first, second = servers.tables(CountingTables), servers.tables(CountingTables)
    async with (
        servers.running(tables=first, redis_url=redis.url) as one,
        servers.running(tables=second, redis_url=redis.url) as other,
    ):
        request_id = await submitted(one)
        await complete(tables, request_id)
        response = await status(one, request_id)
        await redis.wait_keys(1)
        assert await status(other, request_id) == response
    assert (first.reads, second.reads) == (2, 0)


async def test_only_completed_requests_are_cached(
    servers: ServerFactory, tables: Tables, redis: RedisServer, publisher: RedisPublisher
) -> None:
    """PENDING, FAILED, reopened, COMPLETED: each state is visible at once, and only the last one is in Redis."""
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
        await redis.wait_keys(1)


@pytest.mark.parametrize("kind", ["garbage", "other request", "not ended", "wrong types", "empty"])
async def test_a_malformed_document_is_ignored(
    servers: ServerFactory,
    tables: Tables,
    redis: RedisServer,
    store: CompletedRequestStore,
    kind: str,
) -> None:
    """The tables are read, and a valid document replaces it."""
    async with servers.running() as without:
        request_id, other = await submitted(without), await submitted(without)
        await complete(tables, request_id)
        await complete(tables, other)
        right = encode(await completed_of(tables, request_id))
        wrong = {
            "garbage": b"\x00\xff{",
            "other request": encode(await completed_of(tables, other)),
            "not ended": right.replace(b'"COMPLETED"', b'"PENDING"'),
            "wrong types": right.replace(b'"width":640', b'"width":"wide"'),
            "empty": b"",
        }[kind]
        assert wrong != right
        key = f"{store.channel}:{request_id}"
        async with redis.client as client:
            await client.set(key, wrong)
        counting = servers.tables(CountingTables)
        async with servers.running(tables=counting, redis_url=redis.url) as server:
            assert await status(server, request_id) == await status(without, request_id)
        assert counting.reads == 2
        assert (await redis.documents())[key] == right


async def test_the_ttl_of_a_cached_request(
    tables: Tables, redis: RedisServer, store: CompletedRequestStore, servers: ServerFactory
) -> None:
    """It is the expiry of the row, or REDIS_TTL_S if that is earlier. An expired request is not cached."""
    async with servers.running() as server:
        request_id = await submitted(server)
    await complete(tables, request_id)
    known = await completed_of(tables, request_id)
    key = f"{store.channel}:{request_id}"
    async with redis.client as client:
        for expires_in, at_most, at_least in ((None, 86_400, 86_300), (500, 500, 400)):
            expires_at = None if expires_in is None else int(time.time()) + expires_in
            request = replace(known.request, expires_at=expires_at)
            await store.publish([RequestEvent(completed=CompletedRequest(request, known.image))])
            assert at_least < await client.ttl(key) <= at_most
        await client.delete(key)
        expired = replace(known.request, expires_at=int(time.time()))
        await store.publish([RequestEvent(completed=CompletedRequest(expired, known.image))])
        assert await client.exists(key) == 0
