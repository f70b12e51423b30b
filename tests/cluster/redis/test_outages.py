"""Redis dies or hangs under load: no call fails, no state is wrong, and Redis is used again afterwards."""

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


async def run_load(
    running: System, images: Origin, on_accepted: Callable[[int], None]
) -> list[str]:
    """Submit IMAGES and read the status of each at once. `on_accepted` gets the number of accepted requests."""
    ids: list[str] = []
    numbers = iter(range(IMAGES))

    async def caller() -> None:
        for number in numbers:
            ids.append(await running.submit(images.image_url(number)))
            async with running.stub() as stub:
                # An accepted id is known in every state.
                await stub.GetStatus(pb.GetStatusRequest(request_id=ids[-1]), timeout=30)
            on_accepted(len(ids))

    async with asyncio.TaskGroup() as group:
        for _ in range(CALLERS):
            group.create_task(caller())
    return ids


async def is_used(port: MetricsPort, use: str) -> bool:
    return (await port.scrape()).value("redis_up", use=use) == 1


async def until_used(running: System, images: Origin, port: MetricsPort, use: str) -> None:
    """Wait until a process uses Redis again. Submit requests meanwhile, because it needs a reason to use it."""
    async with asyncio.timeout(90):
        number = IMAGES + 1
        while not await is_used(port, use):
            await running.wait_terminal([await running.submit(images.image_url(number))])
            number += 1


@pytest.mark.parametrize("kind", ["killed", "hung"])
async def test_an_outage_of_redis_is_not_visible_to_callers(
    embedded_aws: RecordingAws, tmp_path: Path, kind: str
) -> None:
    """Every submit is accepted, every state is right and every watch ends. Then every process uses Redis again."""
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
        await redis.wait_subscribers(channel, 1)
        # Both processes have used Redis before the outage begins.
        first = await running.submit(images.image_url(IMAGES))
        await running.wait_terminal([first])
        outage: list[asyncio.Task[None]] = []

        def begin_outage(accepted: int) -> None:
            if accepted >= OUTAGE_AFTER and not outage:
                outage.append(asyncio.create_task(stop_redis(redis, kind)))

        ids = await run_load(running, images, begin_outage)
        await outage[0]
        ended = await running.wait_terminal(ids)
        assert [ended[each].state for each in ids] == [pb.STATE_COMPLETED] * IMAGES
        async with running.stub() as stub:
            for each in ids:
                answer = await stub.GetStatus(pb.GetStatusRequest(request_id=each), timeout=30)
                assert answer.request == ended[each]
        await stores.prove_each_ended_once([first, *ids])
        await resume_redis(redis, kind)
        await redis.wait_subscribers(channel, 1)
        await until_used(running, images, server_port, "news")
        await until_used(running, images, consumer_port, "calls")
        await until_used(running, images, server_port, "calls")
        assert (await consumer_port.scrape()).value("redis_dropped_total")


async def stop_redis(redis: RedisServer, kind: str) -> None:
    if kind == "killed":
        await redis.kill()
    else:
        redis.hang()


async def resume_redis(redis: RedisServer, kind: str) -> None:
    if kind == "killed":
        await redis.start()
    else:
        redis.resume()
