"""A rate in Redis limits all processes together."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from core.redis.connection import RedisConnection, RedisUnavailable
from core.redis.shared_rate import SharedRate
from harness.redis_server import RedisServer

pytestmark = pytest.mark.usefixtures("_long_timeouts")

HOURLY = 1 / 3_600
"""So slow that nothing is refilled during a test."""


@pytest_asyncio.fixture
async def connection(redis: RedisServer) -> AsyncIterator[RedisConnection]:
    opened = RedisConnection(redis.url)
    yield opened
    await opened.close()


async def test_processes_share_the_burst(redis: RedisServer) -> None:
    """Ten processes ask for thirty permits in all, of a bucket of twelve."""
    processes = [RedisConnection(redis.url) for _ in range(10)]
    granted = await asyncio.gather(
        *(SharedRate(each, "requests").take("acme", 3, HOURLY, 12) for each in processes)
    )
    assert sum(granted) == 12
    for each in processes:
        await each.close()


async def test_keys_and_tables_have_buckets_of_their_own(connection: RedisConnection) -> None:
    """An empty bucket grants nothing; a neighbour's is full."""
    rate = SharedRate(connection, "requests")
    assert await rate.take("acme", 5, HOURLY, 4) == 4
    assert await rate.take("acme", 1, HOURLY, 4) == 0
    assert await rate.take("other", 1, HOURLY, 4) == 1
    assert await SharedRate(connection, "others").take("acme", 1, HOURLY, 4) == 1


async def test_a_bucket_fills_at_its_rate(redis: RedisServer, connection: RedisConnection) -> None:
    """The time that is left until it is full is the time to live of its key."""
    rate = SharedRate(connection, "requests")
    assert await rate.take("acme", 100, 50, 100) == 100
    async with redis.client as client:
        assert 0 < await client.pttl("imageservice:requests:rate:acme") <= 2_001
    granted = 0
    async with asyncio.timeout(60):
        while granted < 10:
            granted += await rate.take("acme", 10 - granted, 50, 100)


async def test_a_raised_rate_applies_at_once(connection: RedisConnection) -> None:
    """Permits taken at the old rate do not block the new one for longer than a full bucket lasts."""
    rate = SharedRate(connection, "requests")
    assert await rate.take("acme", 4, HOURLY, 4) == 4
    async with asyncio.timeout(60):
        while await rate.take("acme", 1, 1_000, 4) == 0:
            pass


async def test_a_restarted_redis_loads_the_script_again(
    redis: RedisServer, connection: RedisConnection
) -> None:
    """It has lost its scripts and its buckets."""
    rate = SharedRate(connection, "requests")
    assert await rate.take("acme", 4, HOURLY, 4) == 4
    async with redis.client as client:
        await client.flushall()
        await client.script_flush()
    assert await rate.take("acme", 4, HOURLY, 4) == 4


async def test_without_redis_the_caller_is_told(
    redis: RedisServer, connection: RedisConnection
) -> None:
    """It applies a limit of its own."""
    await redis.kill()
    with pytest.raises(RedisUnavailable):
        await SharedRate(connection, "requests").take("acme", 1, 1, 1)
