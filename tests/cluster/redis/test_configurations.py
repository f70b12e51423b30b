"""A Redis that closes idle connections, is full, or is in cluster mode."""

import asyncio
import uuid
from asyncio.subprocess import DEVNULL
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest
import pytest_asyncio
from redis.asyncio import Redis
from redis.exceptions import RedisError
from structlog.testing import capture_logs

from cli.local.embedded_aws import HOST, free_port
from cluster.redis.documents import completed
from cluster.redis.secured_redis import Certificates, secure
from core.redis.completed_requests import CompletedRequestStore, RequestEvent
from core.redis.connection import RedisConnection, RedisUnavailable
from core.redis.metrics import REDIS_DROPPED, REDIS_UP
from harness.redis_server import RedisServer, long_timeout_client, redis_program

pytestmark = pytest.mark.usefixtures("_long_timeouts")
TIMEOUT_S = 30


def dropped() -> float:
    (metric,) = REDIS_DROPPED.collect()
    return float(metric.samples[0].value)


def up() -> float:
    (metric,) = REDIS_UP.collect()
    return sum(each.value for each in metric.samples if each.labels["use"] == "calls")


async def others(client: Redis) -> int:
    """Return the number of connections of other clients."""
    own = await client.client_id()
    return sum(int(each["id"]) != own for each in await client.client_list())


@pytest.mark.parametrize("tls", [False, True])
async def test_closed_idle_connections_are_replaced(
    redis: RedisServer, tmp_path: Path, *, tls: bool
) -> None:
    """No call fails and nothing is logged."""
    url = redis.url
    if tls:
        url = (await secure(redis, await asyncio.to_thread(Certificates.in_folder, tmp_path))).url
    store = CompletedRequestStore(RedisConnection(url), "table", 600)
    known = completed(str(uuid.uuid4()))
    with capture_logs() as lines:
        async with redis.client as client, asyncio.timeout(TIMEOUT_S):
            await store.publish([RequestEvent(completed=known)])
            assert await others(client) == 1
            await client.config_set("timeout", 1)
            while await others(client):  # noqa: ASYNC110  another process closes it
                await asyncio.sleep(0.02)
            assert await store.read(known.request.request_id) == known
    assert lines == []
    await store.close()


async def test_a_full_redis_is_still_read_and_publishes_events(redis: RedisServer) -> None:
    """With maxmemory-policy noeviction it refuses only documents. Each document that is not stored is counted."""
    store = CompletedRequestStore(RedisConnection(redis.url), "table", 600)
    known, new = completed(str(uuid.uuid4())), completed(str(uuid.uuid4()))
    before = dropped()
    async with redis.client as client, client.pubsub() as subscription, asyncio.timeout(TIMEOUT_S):
        await store.publish([RequestEvent(completed=known)])
        await subscription.subscribe(store.channel)
        await client.config_set("maxmemory", 1)
        with capture_logs() as lines:
            for _ in range(20):
                await store.publish(
                    [RequestEvent(completed=new, notification_id=f"{new.request.request_id}:2")]
                )
                assert await store.read(known.request.request_id) == known
        (line,) = lines
        assert line["event"] == "redis command rejected"
        assert "OutOfMemoryError" in line["error"]
        assert up() == 0
        assert dropped() == before + 20
        events = [await subscription.get_message(timeout=TIMEOUT_S) for _ in range(21)]
        assert [each["type"] for each in events if each] == ["subscribe"] + 20 * ["message"]
        await client.config_set("maxmemory", 0)
        await store.publish([RequestEvent(completed=new)])
        assert await store.read(new.request.request_id) == new
        assert dropped() == before + 20
    await store.close()


@pytest_asyncio.fixture
async def node(tmp_path: Path) -> AsyncIterator[str]:
    """The URL of a Redis in cluster mode that has all slots."""
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        await asyncio.to_thread(redis_program),
        *("--port", str(port), "--bind", HOST, "--dir", str(tmp_path), "--save", ""),
        *("--cluster-enabled", "yes", "--cluster-port", str(free_port())),
        stdout=DEVNULL,
    )
    url = f"redis://{HOST}:{port}"
    try:
        async with asyncio.timeout(TIMEOUT_S), long_timeout_client(url) as client:
            while not await has_slots(client):
                assert process.returncode is None, "redis-server ended"
                await asyncio.sleep(0.02)
        yield url
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def has_slots(client: Redis) -> bool:
    with suppress(RedisError, OSError):
        await client.execute_command("CLUSTER ADDSLOTSRANGE", 0, 16383)  # type: ignore[no-untyped-call]
        return True
    return False


async def test_a_cluster_is_refused_at_the_start(node: str) -> None:
    """Before the first call. One log line names the problem."""
    connection = RedisConnection(node)
    with capture_logs() as lines:
        connection.start()
        async with asyncio.timeout(TIMEOUT_S):
            while connection.available:  # noqa: ASYNC110  a background task changes it
                await asyncio.sleep(0.02)
        with pytest.raises(RedisUnavailable):
            await connection.call("read", lambda client: client.mget(["a", "b"]))
        assert up() == 0
    (line,) = lines
    assert line["event"] == "redis unavailable"
    assert "cluster mode" in line["error"]
    await connection.close()
