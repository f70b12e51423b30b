"""A call that timed out or was cancelled leaves no response on the connection for a later call."""

import asyncio
import uuid

from redis.asyncio import Redis

from cluster.redis.documents import completed
from core.redis.codec import CompletedRequest
from core.redis.completed_requests import CompletedRequestStore, RequestEvent
from core.redis.connection import RedisConnection
from core.redis.metrics import REDIS_MALFORMED
from harness.redis_server import RedisServer

IDS = 60


async def read_all(store: CompletedRequestStore, ids: list[str]) -> list[CompletedRequest | None]:
    return await asyncio.gather(*(store.read(each) for each in ids))


async def publish_requests(store: CompletedRequestStore) -> dict[str, CompletedRequest]:
    """Publish requests until Redis has all, and return them by id. A busy machine may make single calls time out."""
    known = {each: completed(each) for each in (str(uuid.uuid4()) for _ in range(IDS))}
    async with asyncio.timeout(30):
        while await read_all(store, list(known)) != list(known.values()):
            await asyncio.sleep(0.02)
            await store.publish([RequestEvent(completed=each) for each in known.values()])
    return known


async def read_retrying(store: CompletedRequestStore, request_id: str) -> CompletedRequest:
    """Read a request, again until Redis responds."""
    async with asyncio.timeout(30):
        while True:
            request = await store.read(request_id)
            if request is not None:
                return request
            await asyncio.sleep(0.02)


def malformed_documents() -> float:
    """Return how many documents belonged to another request than the requested one."""
    ((sample, *_),) = [metric.samples for metric in REDIS_MALFORMED.collect()]
    return float(sample.value)


async def test_after_a_hang_each_read_gets_its_own_response(redis: RedisServer) -> None:
    """Reads that were in flight while Redis hung return None, and later reads return the requested document."""
    store = CompletedRequestStore(RedisConnection(redis.url), "table", 600)
    known, before = await publish_requests(store), malformed_documents()
    redis.hang()
    assert await read_all(store, list(known)) == [None] * IDS
    redis.resume()
    for each in reversed(known):
        assert await read_retrying(store, each) == known[each]
    assert malformed_documents() == before
    await store.close()


async def test_a_cancelled_call_leaves_no_response(redis: RedisServer) -> None:
    """No other caller gets the response of a cancelled call."""
    store = CompletedRequestStore(RedisConnection(redis.url), "table", 600)
    known, before = await publish_requests(store), malformed_documents()
    for request_id, request in known.items():
        key = f"{store.channel}:{request_id}"

        async def get(client: Redis, key: str = key) -> object:
            return await client.get(key)

        call = asyncio.create_task(store.connection.call("read", get))
        await asyncio.sleep(0)
        call.cancel()
        assert await read_retrying(store, request_id) == request
    assert malformed_documents() == before
    await store.close()
