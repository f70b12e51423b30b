"""Calls that were given up leave nothing behind that a later one could take for its answer."""

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


async def read_all(shared: CompletedRequestStore, ids: list[str]) -> list[CompletedRequest | None]:
    return await asyncio.gather(*(shared.read(each) for each in ids))


async def kept(shared: CompletedRequestStore) -> dict[str, CompletedRequest]:
    """Requests that Redis knows, by id; told until it does, for a busy machine may stall it for longer than a call."""
    known = {each: completed(each) for each in (str(uuid.uuid4()) for _ in range(IDS))}
    async with asyncio.timeout(30):
        while await read_all(shared, list(known)) != list(known.values()):
            await asyncio.sleep(0.02)
            await shared.publish([RequestEvent(completed=each) for each in known.values()])
    return known


async def answered(shared: CompletedRequestStore, request_id: str) -> CompletedRequest:
    """What Redis says as soon as it says anything."""
    async with asyncio.timeout(30):
        while True:
            found = await shared.read(request_id)
            if found is not None:
                return found
            await asyncio.sleep(0.02)


def mixed_up() -> float:
    """Documents so far that were of another request than the one that was asked for."""
    ((sample, *_),) = [metric.samples for metric in REDIS_MALFORMED.collect()]
    return float(sample.value)


async def test_after_a_hang_each_read_gets_its_own_answer(redis: RedisServer) -> None:
    """Reads that were under way while Redis hung are answered by nothing, and those after it by what they asked for."""
    shared = CompletedRequestStore(RedisConnection(redis.url), "table", 600)
    known, before = await kept(shared), mixed_up()
    redis.hang()
    assert await read_all(shared, list(known)) == [None] * IDS
    redis.go_on()
    for each in reversed(known):
        assert await answered(shared, each) == known[each]
    assert mixed_up() == before
    await shared.close()


async def test_callers_that_are_cancelled_leave_nothing_behind(redis: RedisServer) -> None:
    """Whoever hangs up in the middle of a call to Redis gives nobody else their answer."""
    shared = CompletedRequestStore(RedisConnection(redis.url), "table", 600)
    known, before = await kept(shared), mixed_up()
    for request_id, told in known.items():
        key = f"{shared.channel}:{request_id}"

        async def get(client: Redis, key: str = key) -> object:
            return await client.get(key)

        call = asyncio.create_task(shared.connection.call("read", get))
        await asyncio.sleep(0)
        call.cancel()
        assert await answered(shared, request_id) == told
    assert mixed_up() == before
    await shared.close()
