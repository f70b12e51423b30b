"""Benchmark of event latency and cost while one server watches 10,000 requests.

The benchmark completes the requests in the null AWS, so the time until the event arrives is the delay of the watcher
alone. The server polls a request at intervals of a twentieth of its age; therefore new and old requests are measured
separately.
"""

import asyncio
import random
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc

from imageservice.v1 import image_service_pb2 as pb
from imageservice.v1 import image_service_pb2_grpc
from loadtest.bench import thresholds
from loadtest.bench.benchmark import NULL, Benchmark, Figure, Trial, percentile
from loadtest.bench.system.backend import NullControl, backend
from loadtest.bench.system.process import BenchFailed
from loadtest.bench.system.stages import Stage, server_stage
from loadtest.bench.thresholds import Threshold
from loadtest.cancellation import cancel_all

WATCHED = 10_000
STREAM = 100
"""Ids per stream."""
CHANNELS = 10
PENDING_S = 3.0
"""Time during which all are watched before the first completes."""
NEW_S, OLD_S = 0.0, 60.0
"""Age of a PENDING request when the watch starts."""
AGE_SHARE = 0.05
"""The poll interval as a share of the age, as in server/watch/schedule.py."""
PER_SECOND = 200
_TICK_S = 0.05
_LATE_S = 60.0
_READS = "dynamodb:BatchGetItem"

Publish = Callable[[Sequence[str]], Awaitable[None]]


@dataclass(slots=True)
class Watchers:
    """The watch streams. Times are those of time.perf_counter."""

    events: int = 0
    completed: dict[str, float] = field(default_factory=dict)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def watch(
        self, stub: "image_service_pb2_grpc.ImageServiceAsyncStub", ids: Sequence[str]
    ) -> None:
        async for event in stub.WatchRequest(pb.WatchRequestRequest(request_ids=ids)):
            if event.request.state == pb.STATE_COMPLETED:
                self.completed[event.request.request_id] = time.perf_counter()
            self.events += 1
            self.changed.set()

    async def wait_for_events(self, count: int) -> None:
        """Raises BenchFailed."""
        try:
            async with asyncio.timeout(_LATE_S):
                while self.events < count:
                    self.changed.clear()
                    await self.changed.wait()
        except TimeoutError:
            raise BenchFailed(f"{self.events} of {count} events after {_LATE_S:g} s") from None


@dataclass(frozen=True, slots=True)
class WatchRound:
    """`latencies` are in seconds and sorted; `reads` are rows per second.

    `cores` are CPU seconds per second of the server, `load_cores` those of the benchmark process.
    """

    latencies: tuple[float, ...]
    reads: float
    cores: float
    load_cores: float

    def percentile(self, share: float) -> float:
        """Return a percentile of the latency in milliseconds."""
        return percentile(self.latencies, share) * 1_000


@asynccontextmanager
async def _watching(server: Stage, ids: Sequence[str]) -> AsyncIterator[Watchers]:
    """Watch all ids. On entry each has sent its first event."""
    watchers = Watchers()
    options = [("grpc.use_local_subchannel_pool", 1)]
    channels = [grpc.aio.insecure_channel(server.address, options=options) for _ in range(CHANNELS)]
    stubs = [image_service_pb2_grpc.ImageServiceStub(channel) for channel in channels]
    streams = [
        asyncio.create_task(watchers.watch(stubs[at % CHANNELS], ids[start : start + STREAM]))
        for at, start in enumerate(range(0, len(ids), STREAM))
    ]
    try:
        await watchers.wait_for_events(len(ids))
        yield watchers
    finally:
        await cancel_all(streams)
        for channel in channels:
            await channel.close()


async def watch_round(
    server: Stage, null: NullControl, seconds: float, publish: Publish | None = None
) -> WatchRound:
    """Watch WATCHED requests and complete some of them. `publish` is called with the completed ids."""
    ids = [str(uuid.uuid4()) for _ in range(WATCHED)]
    chosen = random.sample(ids, int(PER_SECOND * seconds))
    async with _watching(server, ids) as watchers:
        await asyncio.sleep(PENDING_S)
        reads, cpu = await rows_read(null), server.process.cpu_seconds()
        began, own = time.perf_counter(), time.process_time()
        completed = await _complete(null, chosen, publish)
        took, own = time.perf_counter() - began, time.process_time() - own
        reads, cpu = await rows_read(null) - reads, server.process.cpu_seconds() - cpu
        await watchers.wait_for_events(len(ids) + len(chosen))
        latencies = sorted(watchers.completed[each] - completed[each] for each in chosen)
    return WatchRound(tuple(latencies), reads / took, cpu / took, own / took)


async def _complete(
    null: NullControl, chosen: Sequence[str], publish: Publish | None
) -> dict[str, float]:
    """Complete the requests at an even rate and return the time of each."""
    times: dict[str, float] = {}
    began = time.perf_counter()
    some = int(PER_SECOND * _TICK_S)
    for number, start in enumerate(range(0, len(chosen), some)):
        await asyncio.sleep(began + number * _TICK_S - time.perf_counter())
        now = time.perf_counter()
        times.update(dict.fromkeys(chosen[start : start + some], now))
        await null.complete(chosen[start : start + some])
        if publish is not None:
            await publish(chosen[start : start + some])
    return times


async def rows_read(null: NullControl) -> int:
    calls: dict[str, Any] = await null.calls()
    return int(calls["items"].get(_READS, 0))


async def _watch(trial: Trial) -> list[Figure]:
    """Measure new and old requests alternately."""
    rounds: dict[float, list[WatchRound]] = {NEW_S: [], OLD_S: []}
    async with backend(trial) as aws, server_stage(aws) as server:
        null = NullControl(aws.endpoint)
        for _ in range(trial.rounds):
            for age, measured in rounds.items():
                await null.age(age)
                # Old requests are polled at the same moments. Measuring whole intervals makes that irrelevant.
                seconds = max(trial.seconds, 2 * age * AGE_SHARE)
                measured.append(await watch_round(server, null, seconds))
    old = f"{OLD_S:g} s old when watched"
    return [
        *figures("new", rounds[NEW_S], thresholds.WATCH_P99),
        *figures(old, rounds[OLD_S], note=f"read every {OLD_S * AGE_SHARE:g} s and less often"),
    ]


def figures(
    which: str, rounds: Sequence[WatchRound], threshold: Threshold | None = None, note: str = ""
) -> list[Figure]:
    late = "from completion to the stream's event"
    return [
        Figure(
            f"{which}: {late}, p99",
            "ms",
            tuple(each.percentile(0.99) for each in rounds),
            threshold,
            note,
        ),
        Figure(f"{which}: {late}, p50", "ms", tuple(each.percentile(0.5) for each in rounds)),
        Figure(f"{which}: rows read per second", "/s", tuple(each.reads for each in rounds)),
        Figure(f"{which}: server CPU", "cores", tuple(each.cores for each in rounds)),
        Figure(
            f"{which}: load generator's CPU", "cores", tuple(each.load_cores for each in rounds)
        ),
    ]


WATCH = Benchmark("watch", f"Watch, {WATCHED:,} requests watched on one server", (NULL,), _watch)
