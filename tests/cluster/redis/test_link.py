"""The way to a Redis that answers, but not as it should."""

import asyncio

import pytest
from redis.asyncio import Redis

from cli.local.embedded_aws import free_port
from core.redis.connection import RedisConnection, RedisUnavailable
from harness.redis_server import RedisServer


async def connections(client: Redis) -> int:
    """Of others than this client."""
    own = await client.client_id()
    return sum(int(each["id"]) != own for each in await client.client_list())


async def write(link: RedisConnection) -> None:
    await link.call("write", lambda client: client.set("key", "value"))


async def test_a_primary_that_has_become_a_replica_is_left(redis: RedisServer) -> None:
    """No connection to it is kept, because its name may lead elsewhere by now; when it takes writes, it is used."""
    link = RedisConnection(redis.url)
    await write(link)
    async with redis.client as client:
        assert await connections(client) == 1
        await client.replicaof("127.0.0.1", free_port())
        with pytest.raises(RedisUnavailable, match="ReadOnly"):
            await write(link)
        async with asyncio.timeout(10):
            while await connections(client):  # noqa: ASYNC110  another process closes it
                await asyncio.sleep(0.02)
        await client.replicaof("NO", "ONE")
        async with asyncio.timeout(30):
            while not link.available:  # noqa: ASYNC110  it is a matter of time alone
                await asyncio.sleep(0.02)
        await write(link)
    await link.close()


async def test_a_process_without_work_finds_it_back(redis: RedisServer) -> None:
    """Nobody has to call for it to be known that Redis is there again."""
    link = RedisConnection(redis.url)
    await redis.kill()
    with pytest.raises(RedisUnavailable):
        await write(link)
    await redis.start()
    async with asyncio.timeout(30):
        while not link._breaker.closed:  # noqa: ASYNC110  a task of its own finds out
            await asyncio.sleep(0.02)
    await link.close()


async def test_a_password_that_is_wrong_is_an_outage(redis: RedisServer) -> None:
    """Nothing of it is in what is raised, and so in no log."""
    link = RedisConnection(redis.url.replace("redis://", "redis://:a-wrong-secret@"))
    async with redis.client as client:
        await client.config_set("requirepass", "right")
    with pytest.raises(RedisUnavailable) as raised:
        await write(link)
    assert "secret" not in str(raised.value)
    assert not link.available
    await link.close()
