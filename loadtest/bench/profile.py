"""`python -m loadtest.bench.profile STAGE`: profile the CPU of a stage under full load on the null AWS.

Samples the process with py-spy, which needs the permission to trace it; only root may trace the consumer. C frames are
included if the library has symbols. Prints the share of each function, alone and with its callees. Only running threads
count. Profiling slows the process down: the shares are valid, absolute times are not.
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

from loadtest.bench.benchmarks.submit import Target, measure
from loadtest.bench.images.collection import LARGE, SMALL, Kind
from loadtest.bench.subjects.consumer import Consumer, Verification, our_consumer
from loadtest.bench.system.backend import null_aws
from loadtest.bench.system.process import BenchFailed
from loadtest.bench.system.stages import server_stage

_PY_SPY = Path(sys.executable).with_name("py-spy")
SECONDS = 15
_WARM_UP_S = 3
_RATE = 200
"""Samples per second."""
_SHOWN = 25
_LAP = 400
"""Images that the consumer receives at once."""

_WAITS = frozenset(
    {
        *("epoll_wait", "epoll_pwait", "poll", "select"),
        *("pthread_cond_timedwait", "PyThread_acquire_lock_timed"),
    }
)
"""Functions in which a thread waits. py-spy does not detect every idle thread itself."""
_DEEPEST = 4
"""Frames of the C library may be called by them, so this many innermost frames are checked."""

SHAPES = ("unary", "bulk")
IMAGES: dict[str, tuple[Kind, Verification]] = {
    "images-20kb-header": (SMALL, "header"),
    "images-20kb-full": (SMALL, "full"),
    "images-150kb-header": (LARGE, "header"),
    "images-150kb-full": (LARGE, "full"),
}


@dataclass(slots=True)
class Shares:
    """Sample counts by function: as the innermost frame, and anywhere in the stack."""

    total: int = 0
    own: Counter[str] = field(default_factory=Counter)
    inclusive: Counter[str] = field(default_factory=Counter)

    def add(self, line: str) -> None:
        """Add a line of py-spy's raw format: the stack from the outermost frame, and its number of samples."""
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
    """Keep a stage busy and yield its process id."""
    async with AsyncExitStack() as stack:
        aws = await stack.enter_async_context(null_aws())
        if stage in SHAPES:
            server = await stack.enter_async_context(server_stage(aws))
            load: Coroutine[Any, Any, object] = measure(Target(server, stage), _WARM_UP_S + SECONDS)
            pid = server.process.pid
        else:
            consumer = await stack.enter_async_context(our_consumer(aws, *IMAGES[stage]))
            load, pid = _laps(consumer), consumer.process.pid
        task = asyncio.create_task(load)
        try:
            yield pid
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def _laps(consumer: Consumer) -> None:
    while True:
        await consumer.lap(_LAP)


async def profile(stage: str) -> Shares:
    """Raises BenchFailed."""
    with tempfile.TemporaryDirectory() as folder:
        raw = Path(folder) / "stacks.txt"
        async with _loaded(stage) as pid:
            await asyncio.sleep(_WARM_UP_S)
            await _sample(pid, raw)
        shares = Shares()
        for line in (await asyncio.to_thread(raw.read_text)).splitlines():
            shares.add(line)
    return shares


async def _sample(pid: int, raw: Path) -> None:
    options = ("--native", "--format", "raw", "--rate", str(_RATE), "--duration", str(SECONDS))
    try:
        sampler = await asyncio.create_subprocess_exec(
            *(str(_PY_SPY), "record", *options, "--output", str(raw), "--pid", str(pid)),
            stdout=DEVNULL,
            stderr=PIPE,
        )
    except FileNotFoundError:
        raise BenchFailed("py-spy is not installed: pip install py-spy") from None
    _, errors = await sampler.communicate()
    if sampler.returncode:
        raise BenchFailed(f"py-spy: {errors.decode().strip()}")


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m loadtest.bench.profile",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("stage", choices=(*SHAPES, *IMAGES))
    stage = parser.parse_args().stage
    try:
        shares = asyncio.run(profile(stage))
    except BenchFailed as failure:
        sys.stderr.write(f"{failure}\n")
        return 1
    parts = (("own time", shares.own), ("with callees", shares.inclusive))
    for title, counted in parts:
        sys.stdout.write("\n".join([f"{stage}, {title}", *shares.lines(counted), "", ""]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
