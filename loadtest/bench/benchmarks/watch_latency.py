"""Benchmark of the time from the consumer's write of a completion to the event at a watching client.

A real consumer uses Redis. Two servers on its tables, one with Redis and one without, are measured alternately. Images
arrive at a rate that leaves all processes idle, so that no queueing is measured.
"""

import asyncio
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack

import grpc

from imageservice.v1 import image_service_pb2 as pb
from imageservice.v1 import image_service_pb2_grpc
from loadtest.bench import thresholds
from loadtest.bench.benchmark import EMBEDDED, Benchmark, Figure, Trial, percentile
from loadtest.bench.system.backend import backend
from loadtest.bench.system.process import BenchFailed
from loadtest.bench.system.services import redis
from loadtest.bench.system.stages import Stage, consumer_stage, image_urls, origin, server_stage

PER_SECOND = 15
_WARM_UP = 20
_LATE_S = 60.0


Latencies = tuple[float, ...]
"""Milliseconds, sorted."""


async def _latency(stub: "image_service_pb2_grpc.ImageServiceAsyncStub", url: str) -> float:
    """Submit one image and watch it. Raises BenchFailed if it does not become COMPLETED."""
    request = pb.SubmitImageRequest(url=url, customer_id="bench")
    request_id = (await stub.SubmitImage(request)).request_id
    async for event in stub.WatchRequest(pb.WatchRequestRequest(request_ids=[request_id])):
        if event.request.state == pb.STATE_COMPLETED:
            return time.time() * 1_000 - event.request.update_time.ToMilliseconds()
    raise BenchFailed(f"{request_id} did not become COMPLETED")


async def _round(stage: Stage, urls: Sequence[str]) -> Latencies:
    began = time.perf_counter()
    async with grpc.aio.insecure_channel(stage.address) as channel, asyncio.timeout(_LATE_S):
        stub = image_service_pb2_grpc.ImageServiceStub(channel)
        async with asyncio.TaskGroup() as group:
            tasks = []
            for number, url in enumerate(urls):
                await asyncio.sleep(began + number / PER_SECOND - time.perf_counter())
                tasks.append(group.create_task(_latency(stub, url)))
    return tuple(sorted(task.result() for task in tasks))


async def _run(trial: Trial) -> list[Figure]:
    measured: dict[str, list[Latencies]] = {"Redis": [], "polling": []}
    count, done = int(PER_SECOND * trial.seconds), 0
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        aws, url, images = await enter(backend(trial)), await enter(redis()), await enter(origin())
        with_redis = aws.with_settings(REDIS_URL=url)
        await enter(consumer_stage(with_redis))
        servers = {
            "Redis": await enter(server_stage(with_redis)),
            "polling": await enter(server_stage(aws)),
        }
        for stage in servers.values():
            await _round(stage, image_urls(images, _WARM_UP, start=done))
            done += _WARM_UP
        for _ in range(trial.rounds):
            for how, stage in servers.items():
                measured[how].append(await _round(stage, image_urls(images, count, start=done)))
                done += count
    return [figure for how, rounds in measured.items() for figure in figures(how, rounds)]


def figures(how: str, rounds: Sequence[Latencies]) -> list[Figure]:
    """Return the figures of one server. The latency of polling has its limit in another benchmark."""
    threshold = thresholds.PUSHED_P99 if how == "Redis" else None
    name = f"watch by {how}: from the consumer's write to the stream's event"
    return [
        Figure(f"{name}, p99", "ms", tuple(percentile(each, 0.99) for each in rounds), threshold),
        Figure(f"{name}, p50", "ms", tuple(percentile(each, 0.5) for each in rounds)),
    ]


PUSH = Benchmark("push", "From a completion to a watching client", (EMBEDDED,), _run)
