"""Benchmark of the whole way of an end: from the moment in which the consumer writes it to a watching client's event.

A real consumer with Redis, and two servers on its tables, one with Redis and one without, in turns. Images come at a
pace that leaves all of them idle, so that no queue is measured.
"""

import asyncio
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

import grpc

from imageservice.v1 import image_service_pb2 as pb
from imageservice.v1 import image_service_pb2_grpc
from loadtest.bench import goals
from loadtest.bench.benchmark import EMBEDDED, Benchmark, Figure, Trial
from loadtest.bench.system.backend import backend
from loadtest.bench.system.process import BenchFailed
from loadtest.bench.system.redis import redis
from loadtest.bench.system.stages import Stage, consumer_stage, origin, pictures, server_stage

PER_SECOND = 15
_WARM_UP = 20
_LATE_S = 60.0


@dataclass(frozen=True, slots=True)
class Heard:
    """`latencies` are in milliseconds and sorted."""

    latencies: tuple[float, ...]

    def percentile(self, share: float) -> float:
        return self.latencies[int(share * (len(self.latencies) - 1))]


async def _latency(stub: "image_service_pb2_grpc.ImageServiceAsyncStub", url: str) -> float:
    """Submit one image and watch it to its end. Raises BenchFailed where it does not end well."""
    request = pb.SubmitImageRequest(url=url, customer_id="bench")
    request_id = (await stub.SubmitImage(request)).request_id
    async for event in stub.WatchRequest(pb.WatchRequestRequest(request_ids=[request_id])):
        if event.request.state == pb.STATE_COMPLETED:
            return time.time() * 1_000 - event.request.update_time.ToMilliseconds()
    raise BenchFailed(f"{request_id} did not end COMPLETED")


async def _round(stage: Stage, urls: Sequence[str]) -> Heard:
    began = time.perf_counter()
    async with grpc.aio.insecure_channel(stage.address) as channel, asyncio.timeout(_LATE_S):
        stub = image_service_pb2_grpc.ImageServiceStub(channel)
        async with asyncio.TaskGroup() as group:
            tasks = []
            for number, url in enumerate(urls):
                await asyncio.sleep(began + number / PER_SECOND - time.perf_counter())
                tasks.append(group.create_task(_latency(stub, url)))
    return Heard(tuple(sorted(task.result() for task in tasks)))


async def _run(trial: Trial) -> list[Figure]:
    heard: dict[str, list[Heard]] = {"Redis": [], "polling": []}
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
            await _round(stage, pictures(images, _WARM_UP, start=done))
            done += _WARM_UP
        for _ in range(trial.rounds):
            for how, stage in servers.items():
                heard[how].append(await _round(stage, pictures(images, count, start=done)))
                done += count
    return [figure for how, rounds in heard.items() for figure in figures(how, rounds)]


def figures(how: str, rounds: Sequence[Heard]) -> list[Figure]:
    """Polling has another benchmark's goal."""
    goal = goals.PUSHED_P99 if how == "Redis" else None
    said = f"watch by {how}: from the consumer's write to the stream's event"
    return [
        Figure(f"{said}, p99", "ms", tuple(each.percentile(0.99) for each in rounds), goal),
        Figure(f"{said}, p50", "ms", tuple(each.percentile(0.5) for each in rounds)),
    ]


PUSH = Benchmark("push", "An end's whole way to a watching client", (EMBEDDED,), _run)
