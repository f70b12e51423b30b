"""`python -m loadtest.bench.profile STAGE`: where a stage spends its CPU, on the null AWS and under full load.

Samples the process with py-spy (which needs the right to trace it), frames of C libraries included where they have
symbols, and prints the shares of functions: by themselves, and with what they call. Only threads that run count. The
profile slows down what it looks at: the shares stand, the times do not.
"""

import argparse
import asyncio
import sys
import tempfile
from asyncio.subprocess import DEVNULL, PIPE
from collections import Counter
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from loadtest.bench.benchmarks.submitting import measure, server
from loadtest.bench.contestants.our_consumer import OurConsumer, Verification, our_consumer
from loadtest.bench.photographs.collection import LARGE, SMALL, Kind
from loadtest.bench.system.backend import null_aws
from loadtest.bench.system.process import BenchFailed

_PY_SPY = Path(sys.executable).with_name("py-spy")
SECONDS = 15
_WARM_UP_S = 3
_RATE = 200
"""Samples a second."""
_SHOWN = 25
_LAP = 400
"""Images that the consumer gets at a time."""

_WAITS = frozenset(
    {
        *("epoll_wait", "epoll_pwait", "poll", "select"),
        *("pthread_cond_timedwait", "PyThread_acquire_lock_timed"),
    }
)
"""A thread in one of these waits, for others or for the interpreter; py-spy cannot always tell."""
_DEEPEST = 4
"""Frames of the C library may lie within them."""

SHAPES = ("unary", "bulk")
PICTURES: dict[str, tuple[Kind, Verification]] = {
    "images-20kb-header": (SMALL, "header"),
    "images-20kb-full": (SMALL, "full"),
    "images-150kb-header": (LARGE, "header"),
    "images-150kb-full": (LARGE, "full"),
}


@dataclass(slots=True)
class Shares:
    """How often a function was seen: innermost, and anywhere in the stack."""

    total: int = 0
    own: Counter[str] = field(default_factory=Counter)
    inclusive: Counter[str] = field(default_factory=Counter)

    def add(self, line: str) -> None:
        """A line of py-spy's raw format: frames from the outermost, and how often they were seen together."""
        stack, _, count = line.rpartition(" ")
        frames = [frame.rpartition(":")[0] or frame for frame in stack.split(";")]
        if _WAITS & {frame.partition(" ")[0] for frame in frames[-_DEEPEST:]}:
            return
        self.total += int(count)
        self.own[frames[-1]] += int(count)
        for frame in set(frames):
            self.inclusive[frame] += int(count)

    def lines(self, counted: Counter[str]) -> list[str]:
        return [f"{count / self.total:6.1%}  {name}" for name, count in counted.most_common(_SHOWN)]


@asynccontextmanager
async def _loaded(stage: str) -> AsyncIterator[int]:
    """The process id of a stage that is busy while the block lasts."""
    async with AsyncExitStack() as stack:
        aws = await stack.enter_async_context(null_aws())
        if stage in SHAPES:
            target = await stack.enter_async_context(server("server", aws, shape=stage))
            load: Coroutine[Any, Any, object] = measure(target, _WARM_UP_S + SECONDS)
            pid = target.pid
        else:
            consumer = await stack.enter_async_context(our_consumer(aws, *PICTURES[stage]))
            load, pid = _laps(consumer), consumer.process.pid
        task = asyncio.create_task(load)
        try:
            yield pid
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def _laps(consumer: OurConsumer) -> None:
    while True:
        await consumer.lap(_LAP)


async def profile(stage: str) -> Shares:
    """Raises BenchFailed."""
    with tempfile.TemporaryDirectory() as folder:
        raw = Path(folder) / "stacks.txt"
        async with _loaded(stage) as pid:
            await asyncio.sleep(_WARM_UP_S)
            await _sampled(pid, raw)
        shares = Shares()
        for line in (await asyncio.to_thread(raw.read_text)).splitlines():
            shares.add(line)
    return shares


async def _sampled(pid: int, raw: Path) -> None:
    options = ("--native", "--format", "raw", "--rate", str(_RATE), "--duration", str(SECONDS))
    try:
        sampler = await asyncio.create_subprocess_exec(
            *(str(_PY_SPY), "record", *options, "--output", str(raw), "--pid", str(pid)),
            stdout=DEVNULL,
            stderr=PIPE,
        )
    except FileNotFoundError:
        raise BenchFailed("py-spy is not installed: pip install py-spy") from None
    _, said = await sampler.communicate()
    if sampler.returncode:
        raise BenchFailed(f"py-spy: {said.decode().strip()}")


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m loadtest.bench.profile",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("stage", choices=(*SHAPES, *PICTURES))
    stage = parser.parse_args().stage
    try:
        shares = asyncio.run(profile(stage))
    except BenchFailed as failure:
        sys.stderr.write(f"{failure}\n")
        return 1
    parts = (("by itself", shares.own), ("with what it calls", shares.inclusive))
    for title, counted in parts:
        sys.stdout.write("\n".join([f"{stage}, {title}", *shares.lines(counted), "", ""]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
