"""Compare ways to decode outside of the event loop (ADR 16): CPU per image of the process and all its children.

    PYTHONPATH=. python docs/adr/measurements/sandbox.py

Each way examines the same images of 20 KB, and the process that asks applies the edits and computes the hashes. The
ways take turns in one run.
"""

import asyncio
import multiprocessing
import os
import statistics
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from itertools import cycle, islice

import uvloop

from consumer.imaging.inspection import examine, inspect, probe
from consumer.imaging.policy import ImagePolicy
from consumer.imaging.result import Examination, apply_examination
from consumer.sandbox.decode_pool import DecodePool, open_decode_pool
from core.runtime.gc_tuning import freeze_gc
from loadtest.bench.images.collection import SMALL, collection
from loadtest.bench.system.process import cpu_seconds

IMAGES, ROUNDS, IN_FLIGHT, WORKERS = 300, 5, 16, 2
POLICY = ImagePolicy()
Inspect = Callable[[bytes], Awaitable[object]]


def _examine(body: bytes) -> Examination:
    return examine(body, POLICY, probe(body, POLICY))


def _inspect(body: bytes) -> object:
    return inspect(body, POLICY)


async def cpu_per_image(inspect_one: Inspect, bodies: list[bytes]) -> float:
    """Return microseconds."""
    waiting = iter(bodies)

    async def caller() -> None:
        for body in waiting:
            await inspect_one(body)

    before = cpu_seconds(os.getpid())
    await asyncio.gather(*(caller() for _ in range(IN_FLIGHT)))
    return (cpu_seconds(os.getpid()) - before) / len(bodies) * 1e6


def in_threads(pool: Executor) -> Inspect:
    loop = asyncio.get_running_loop()
    return lambda body: loop.run_in_executor(pool, _inspect, body)


def in_multiprocessing(pool: Executor) -> Inspect:
    loop = asyncio.get_running_loop()

    async def inspect_one(body: bytes) -> object:
        return apply_examination(body, await loop.run_in_executor(pool, _examine, body))

    return inspect_one


def _pool(decoders: int) -> AbstractAsyncContextManager[DecodePool]:
    return open_decode_pool(
        POLICY, decoders=decoders, budget_bytes=512 * 1024 * 1024, cpu_limit_s=20
    )


async def main() -> None:
    folder = collection(SMALL)
    paths = [folder / f"{number}.jpg" for number in range(300)]
    bodies = list(islice(cycle([path.read_bytes() for path in paths]), IMAGES))
    async with AsyncExitStack() as stack:
        ours = await stack.enter_async_context(_pool(WORKERS + 1))
        single = await stack.enter_async_context(_pool(WORKERS))
        turns = asyncio.Semaphore(1)
        threads = stack.enter_context(ThreadPoolExecutor(WORKERS))
        context = multiprocessing.get_context("forkserver")
        processes = stack.enter_context(ProcessPoolExecutor(WORKERS, mp_context=context))

        async def one_process_per_image(body: bytes) -> object:
            async with turns:
                for slot in single._lanes.slots:  # noqa: SLF001 - end what has examined an image
                    if slot.decoder is not None and slot.decoder.images:
                        slot.decoder.retire()
                return await single.inspect(body)

        ways = {
            "threads": in_threads(threads),
            "our fork server": ours.inspect,
            "multiprocessing's fork server": in_multiprocessing(processes),
            "a process per image": one_process_per_image,
        }
        freeze_gc()
        for inspect_one in ways.values():
            await cpu_per_image(inspect_one, bodies[:50])
        costs: dict[str, list[float]] = {name: [] for name in ways}
        for number in range(ROUNDS):
            for name in ways if number % 2 == 0 else reversed(ways):
                costs[name].append(await cpu_per_image(ways[name], bodies))
    report(costs)


def report(costs: dict[str, list[float]]) -> None:
    """Print the medians, and the ratios to the threads of the same round."""
    for name, each in costs.items():
        ratios = [one / other for one, other in zip(each, costs["threads"], strict=True)]
        middle, ratio = statistics.median(each), statistics.median(ratios)
        spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
        print(f"{name}: {middle:,.0f} µs, {ratio:.2f} ({spread})")  # noqa: T201 - a report


if __name__ == "__main__":
    uvloop.run(main())
