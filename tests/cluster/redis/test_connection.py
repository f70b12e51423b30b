"""The connection to a Redis that answers with errors or restarts."""

import asyncio

import pytest
from redis.asyncio import Redis

from cli.local.embedded_aws import free_port
from core.redis.connection import RedisConnection, RedisUnavailable
from harness.redis_server import RedisServer


async def connections(client: Redis) -> int:
    """Return the number of connections of other clients."""
    own = await client.client_id()
    return sum(int(each["id"]) != own for each in await client.client_list())


async def write(connection: RedisConnection) -> None:
    await connection.call("write", lambda client: client.set("key", "value"))


async def test_connections_to_a_demoted_primary_are_closed(redis: RedisServer) -> None:
    """Its endpoint may resolve to another Redis now. When it accepts writes again, it is used again."""
    connection = RedisConnection(redis.url)
    await write(connection)
    async with redis.client as client:
        assert await connections(client) == 1
        await client.replicaof("127.0.0.1", free_port())
        with pytest.raises(RedisUnavailable, match="ReadOnly"):
            await write(connection)
        async with asyncio.timeout(10):
            while await connections(client):  # noqa: ASYNC110  another process closes it
                await asyncio.sleep(0.02)
        await client.replicaof("NO", "ONE")
        async with asyncio.timeout(30):
            while not connection.available:  # noqa: ASYNC110  a background task changes it
                await asyncio.sleep(0.02)
        await write(connection)
    await connection.close()


async def test_an_idle_process_notices_the_recovery(redis: RedisServer) -> None:
    """No call is needed to detect that Redis is available again."""
    connection = RedisConnection(redis.url)
    await redis.kill()
    with pytest.raises(RedisUnavailable):
        await write(connection)
    await redis.start()
    async with asyncio.timeout(30):
        while not connection._breaker.closed:  # noqa: ASYNC110  a background task changes it
            await asyncio.sleep(0.02)
    await connection.close()


async def test_a_wrong_password_is_an_outage(redis: RedisServer) -> None:
    """The exception does not contain the password, so no log does."""
    connection = RedisConnection(redis.url.replace("redis://", "redis://:a-wrong-secret@"))
    async with redis.client as client:
        await client.config_set("requirepass", "right")
    with pytest.raises(RedisUnavailable) as raised:
        await write(connection)
    assert "secret" not in str(raised.value)
    assert not connection.available
    await connection.close()
