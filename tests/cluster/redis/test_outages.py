"""Redis dies, or hangs, under load: nobody is refused or told anything wrong, and all is as before when it is back."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.aws import RecordingAws
from harness.metrics import MetricsPort
from harness.origin import Origin, origin
from harness.redis_server import RedisServer, redis_server
from harness.stores import stores_of
from harness.system import System, system
from imageservice.v1 import image_service_pb2 as pb

IMAGES = 120
OUTAGE_AFTER = 40
CALLERS = 8


async def put_load_on(running: System, images: Origin, broken: Callable[[int], None]) -> list[str]:
    """Submit IMAGES, asking for each at once; `broken` hears of each that was accepted."""
    ids: list[str] = []
    numbers = iter(range(IMAGES))

    async def caller() -> None:
        for number in numbers:
            ids.append(await running.submit(images.image_url(number)))
            async with running.stub() as stub:
                # An id that was taken is known, whatever state it is in.
                await stub.GetStatus(pb.GetStatusRequest(request_id=ids[-1]), timeout=30)
            broken(len(ids))

    async with asyncio.TaskGroup() as group:
        for _ in range(CALLERS):
            group.create_task(caller())
    return ids


async def is_used(port: MetricsPort, use: str) -> bool:
    return (await port.scrape()).value("redis_up", use=use) == 1


async def until_used(running: System, images: Origin, port: MetricsPort, use: str) -> None:
    """Wait until a process uses Redis again; there must be something to use it for."""
    async with asyncio.timeout(90):
        number = IMAGES + 1
        while not await is_used(port, use):
            await running.wait_terminal([await running.submit(images.image_url(number))])
            number += 1


@pytest.mark.parametrize("kind", ["killed", "hung"])
async def test_an_outage_of_redis_is_no_outage(
    embedded_aws: RecordingAws, tmp_path: Path, kind: str
) -> None:
    """Every submit is accepted, every state right, every watch ends; then Redis is used again by all."""
    server_port, consumer_port = MetricsPort(), MetricsPort()
    async with (
        redis_server(tmp_path) as redis,
        origin() as images,
        system(embedded_aws) as running,
        stores_of(running) as stores,
    ):
        channel = f"imageservice:{running.stack.requests_table}"
        await running.start_server(REDIS_URL=redis.url, **server_port.settings)
        await running.start_consumer(REDIS_URL=redis.url, **consumer_port.settings)
        await redis.heard_by(channel, 1)
        # So that both are at work when it begins.
        first = await running.submit(images.image_url(IMAGES))
        await running.wait_terminal([first])
        breaking: list[asyncio.Task[None]] = []

        def broken(accepted: int) -> None:
            if accepted >= OUTAGE_AFTER and not breaking:
                breaking.append(asyncio.create_task(break_down(redis, kind)))

        ids = await put_load_on(running, images, broken)
        await breaking[0]
        ended = await running.wait_terminal(ids)
        assert [ended[each].state for each in ids] == [pb.STATE_COMPLETED] * IMAGES
        async with running.stub() as stub:
            for each in ids:
                answer = await stub.GetStatus(pb.GetStatusRequest(request_id=each), timeout=30)
                assert answer.request == ended[each]
        await stores.prove_each_ended_once([first, *ids])
        await bring_back(redis, kind)
        await redis.heard_by(channel, 1)
        await until_used(running, images, server_port, "news")
        await until_used(running, images, consumer_port, "calls")
        await until_used(running, images, server_port, "calls")
        assert (await consumer_port.scrape()).value("redis_dropped_total")


async def break_down(redis: RedisServer, kind: str) -> None:
    if kind == "killed":
        await redis.kill()
    else:
        redis.hang()


async def bring_back(redis: RedisServer, kind: str) -> None:
    if kind == "killed":
        await redis.start()
    else:
        redis.go_on()
