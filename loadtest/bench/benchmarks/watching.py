"""Benchmark of the watch: how late the news are with 10,000 requests watched on one server, and what that costs.

The null AWS says when a request is COMPLETED, so the time from there to the stream's event is the watcher's alone. An
old request is read less often, at intervals of a twentieth of its age; so new ones and old ones are told apart.
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
from loadtest.bench import goals
from loadtest.bench.benchmark import NULL, Benchmark, Figure, Trial
from loadtest.bench.benchmarks.submitting import Target, server
from loadtest.bench.goal import Goal
from loadtest.bench.system.backend import NullControl, backend
from loadtest.bench.system.process import BenchFailed, cpu_seconds
from loadtest.cancellation import cancelled

WATCHED = 10_000
STREAM = 100
"""Ids a stream."""
CHANNELS = 10
PENDING_S = 3.0
"""How long all are watched before the first of them completes; the last does some seconds later."""
NEW_S, OLD_S = 0.0, 60.0
"""How long they had been PENDING before they were watched."""
AGE_SHARE = 0.05
"""What part of its age passes between two reads of a request, as in server/watch/schedule.py."""
PER_SECOND = 200
_TICK_S = 0.05
_LATE_S = 60.0
_READS = "dynamodb:BatchGetItem"

Tell = Callable[[Sequence[str]], Awaitable[None]]


@dataclass(slots=True)
class Audience:
    """Who watches; times are of time.perf_counter."""

    seen: int = 0
    completed: dict[str, float] = field(default_factory=dict)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def watch(
        self, stub: "image_service_pb2_grpc.ImageServiceAsyncStub", ids: Sequence[str]
    ) -> None:
        async for event in stub.WatchRequest(pb.WatchRequestRequest(request_ids=ids)):
            if event.request.state == pb.STATE_COMPLETED:
                self.completed[event.request.request_id] = time.perf_counter()
            self.seen += 1
            self.changed.set()

    async def until(self, *, seen: int) -> None:
        """Raises BenchFailed."""
        try:
            async with asyncio.timeout(_LATE_S):
                while self.seen < seen:
                    self.changed.clear()
                    await self.changed.wait()
        except TimeoutError:
            raise BenchFailed(f"{self.seen} of {seen} events after {_LATE_S:g} s") from None


@dataclass(frozen=True, slots=True)
class News:
    """`latencies` are in seconds and sorted; `reads` are rows a second.

    `cores` are the server's CPU seconds a second, `load_cores` those of the process that watches and completes.
    """

    latencies: tuple[float, ...]
    reads: float
    cores: float
    load_cores: float

    def percentile(self, share: float) -> float:
        """In milliseconds."""
        return self.latencies[int(share * (len(self.latencies) - 1))] * 1_000


@asynccontextmanager
async def _watched(target: Target, ids: Sequence[str]) -> AsyncIterator[Audience]:
    """All ids watched, each seen PENDING once."""
    audience = Audience()
    options = [("grpc.use_local_subchannel_pool", 1)]
    channels = [grpc.aio.insecure_channel(target.address, options=options) for _ in range(CHANNELS)]
    stubs = [image_service_pb2_grpc.ImageServiceStub(channel) for channel in channels]
    streams = [
        asyncio.create_task(audience.watch(stubs[at % CHANNELS], ids[start : start + STREAM]))
        for at, start in enumerate(range(0, len(ids), STREAM))
    ]
    try:
        await audience.until(seen=len(ids))
        yield audience
    finally:
        await cancelled(streams)
        for channel in channels:
            await channel.close()


async def watch_round(
    target: Target, null: NullControl, seconds: float, tell: Tell | None = None
) -> News:
    """`tell` is called with those that have just completed."""
    ids = [str(uuid.uuid4()) for _ in range(WATCHED)]
    chosen = random.sample(ids, int(PER_SECOND * seconds))
    async with _watched(target, ids) as audience:
        await asyncio.sleep(PENDING_S)
        reads, cpu = await rows_read(null), cpu_seconds(target.pid)
        began, own = time.perf_counter(), time.process_time()
        completed = await _complete(null, chosen, tell)
        took, own = time.perf_counter() - began, time.process_time() - own
        reads, cpu = await rows_read(null) - reads, cpu_seconds(target.pid) - cpu
        await audience.until(seen=len(ids) + len(chosen))
        latencies = sorted(audience.completed[each] - completed[each] for each in chosen)
    return News(tuple(latencies), reads / took, cpu / took, own / took)


async def _complete(
    null: NullControl, chosen: Sequence[str], tell: Tell | None
) -> dict[str, float]:
    """Complete them at an even pace; answer when each was."""
    times: dict[str, float] = {}
    began = time.perf_counter()
    some = int(PER_SECOND * _TICK_S)
    for number, start in enumerate(range(0, len(chosen), some)):
        await asyncio.sleep(began + number * _TICK_S - time.perf_counter())
        now = time.perf_counter()
        times.update(dict.fromkeys(chosen[start : start + some], now))
        await null.complete(chosen[start : start + some])
        if tell is not None:
            await tell(chosen[start : start + some])
    return times


async def rows_read(null: NullControl) -> int:
    calls: dict[str, Any] = await null.calls()
    return int(calls["items"].get(_READS, 0))


async def _watch(trial: Trial) -> list[Figure]:
    """New and old in turns: what is left of one round's streams is gone when the next begins."""
    rounds: dict[float, list[News]] = {NEW_S: [], OLD_S: []}
    async with backend(trial) as aws, server("server", aws) as target:
        null = NullControl(aws.endpoint)
        for _ in range(trial.rounds):
            for age, measured in rounds.items():
                await null.age(age)
                # Old ones are read in step: over whole intervals it matters little when that happens.
                seconds = max(trial.seconds, 2 * age * AGE_SHARE)
                measured.append(await watch_round(target, null, seconds))
    old = f"{OLD_S:g} s old when watched"
    return [
        *figures("new", rounds[NEW_S], goals.WATCH_P99),
        *figures(old, rounds[OLD_S], note=f"read every {OLD_S * AGE_SHARE:g} s and less often"),
    ]


def figures(
    which: str, rounds: Sequence[News], goal: Goal | None = None, note: str = ""
) -> list[Figure]:
    late = "from completion to the stream's event"
    return [
        Figure(
            f"{which}: {late}, p99",
            "ms",
            tuple(news.percentile(0.99) for news in rounds),
            goal,
            note,
        ),
        Figure(f"{which}: {late}, p50", "ms", tuple(news.percentile(0.5) for news in rounds)),
        Figure(f"{which}: rows read per second", "/s", tuple(news.reads for news in rounds)),
        Figure(f"{which}: server CPU", "cores", tuple(news.cores for news in rounds)),
        Figure(
            f"{which}: load generator's CPU", "cores", tuple(news.load_cores for news in rounds)
        ),
    ]


WATCH = Benchmark("watch", f"Watch, {WATCHED:,} requests watched on one server", (NULL,), _watch)
