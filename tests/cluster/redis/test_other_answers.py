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
from cluster.redis.secured_redis import Certificates, secured
from core.redis.completed_requests import CompletedRequestStore, RequestEvent
from core.redis.connection import RedisConnection, RedisUnavailable
from core.redis.metrics import REDIS_DROPPED, REDIS_UP
from harness.redis_server import RedisServer, patient_client, redis_program

pytestmark = pytest.mark.usefixtures("_patient")
PATIENCE_S = 30


def dropped() -> float:
    (metric,) = REDIS_DROPPED.collect()
    return float(metric.samples[0].value)


def up() -> float:
    (metric,) = REDIS_UP.collect()
    return sum(each.value for each in metric.samples if each.labels["use"] == "calls")


async def others(client: Redis) -> int:
    """Connections beside this client's."""
    own = await client.client_id()
    return sum(int(each["id"]) != own for each in await client.client_list())


@pytest.mark.parametrize("tls", [False, True])
async def test_connections_that_it_closed_while_idle_are_replaced(
    redis: RedisServer, tmp_path: Path, *, tls: bool
) -> None:
    """No call fails, and nothing is told, for nothing is wrong."""
    url = redis.url
    if tls:
        url = (await secured(redis, await asyncio.to_thread(Certificates.in_folder, tmp_path))).url
    shared = CompletedRequestStore(RedisConnection(url), "table", 600)
    known = completed(str(uuid.uuid4()))
    with capture_logs() as lines:
        async with redis.client as client, asyncio.timeout(PATIENCE_S):
            await shared.publish([RequestEvent(completed=known)])
            assert await others(client) == 1
            await client.config_set("timeout", 1)
            while await others(client):  # noqa: ASYNC110  another process closes it
                await asyncio.sleep(0.02)
            assert await shared.read(known.request.request_id) == known
    assert lines == []
    await shared.close()


async def test_a_full_one_is_still_read_and_tells_news(redis: RedisServer) -> None:
    """With maxmemory-policy noeviction it refuses documents alone, and each that was not kept is counted."""
    shared = CompletedRequestStore(RedisConnection(redis.url), "table", 600)
    known, new = completed(str(uuid.uuid4())), completed(str(uuid.uuid4()))
    before = dropped()
    async with redis.client as client, client.pubsub() as heard, asyncio.timeout(PATIENCE_S):
        await shared.publish([RequestEvent(completed=known)])
        await heard.subscribe(shared.channel)
        await client.config_set("maxmemory", 1)
        with capture_logs() as lines:
            for _ in range(20):
                await shared.publish(
                    [RequestEvent(completed=new, notification_id=f"{new.request.request_id}:2")]
                )
                assert await shared.read(known.request.request_id) == known
        (line,) = lines
        assert line["event"] == "redis command rejected"
        assert "OutOfMemoryError" in line["error"]
        assert up() == 0
        assert dropped() == before + 20
        told = [await heard.get_message(timeout=PATIENCE_S) for _ in range(21)]
        assert [each["type"] for each in told if each] == ["subscribe"] + 20 * ["message"]
        await client.config_set("maxmemory", 0)
        await shared.publish([RequestEvent(completed=new)])
        assert await shared.read(new.request.request_id) == new
        assert dropped() == before + 20
    await shared.close()


@pytest_asyncio.fixture
async def node(tmp_path: Path) -> AsyncIterator[str]:
    """The URL of a Redis in cluster mode, which has all slots."""
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        await asyncio.to_thread(redis_program),
        *("--port", str(port), "--bind", HOST, "--dir", str(tmp_path), "--save", ""),
        *("--cluster-enabled", "yes", "--cluster-port", str(free_port())),
        stdout=DEVNULL,
    )
    url = f"redis://{HOST}:{port}"
    try:
        async with asyncio.timeout(PATIENCE_S), patient_client(url) as client:
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


async def test_a_cluster_is_not_used_and_told_at_the_start(node: str) -> None:
    """Before it has answered a single call wrongly: one line says what is to be changed."""
    link = RedisConnection(node)
    with capture_logs() as lines:
        link.start()
        async with asyncio.timeout(PATIENCE_S):
            while link.available:  # noqa: ASYNC110  a task of its own finds out
                await asyncio.sleep(0.02)
        with pytest.raises(RedisUnavailable):
            await link.call("read", lambda client: client.mget(["a", "b"]))
        assert up() == 0
    (line,) = lines
    assert line["event"] == "redis unavailable"
    assert "cluster mode" in line["error"]
    await link.close()
