"""img2dataset as a contestant: one process of it lives through all rounds, held back by its origin in between."""

import asyncio
import json
import os
import signal
import tempfile
import time
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from loadtest.bench.contestants.contestant import Lap
from loadtest.bench.img2dataset import environment
from loadtest.bench.photographs.collection import Kind
from loadtest.bench.photographs.published import Published, published
from loadtest.bench.system.process import BenchFailed, cpu_seconds

THREADS = 16
"""Of 4 to 64 on two cores none was told apart from it."""

DOWNLOAD = ("--disable_all_reencoding=True",)
"""It stores what it fetched, without a look at it."""
DECODE = ("--resize_mode=no", "--skip_reencode=True")
"""It decodes the whole picture and stores a JPEG as it came."""
ENCODE = ("--resize_mode=no",)
"""It decodes the whole picture and stores it encoded anew."""

_POLL_S = 0.02
_QUIET_S = 0.5
_STALL_S = 120.0
_TAIL = 100
"""Images after the last lap, so that it still lives when that lap's CPU is read."""
_SHARD = 10_000_000
"""Images in one output file; above any number here."""


@dataclass(frozen=True, slots=True)
class Img2dataset:
    child: Process
    origin: Published
    total: int
    output: Path

    async def lap(self, images: int) -> Lap:
        """As Contestant. Its processes idle at the closed gate before and after."""
        target = await self.origin.served() + images
        cpu, began = cpu_seconds(self.child.pid), time.perf_counter()
        await self.origin.admit(images)
        async with asyncio.timeout(_STALL_S):
            while await self.origin.served() < target:
                self.fail_if_ended()
                await asyncio.sleep(_POLL_S)
            ended = time.perf_counter()
            spent = await self._settled()
        return Lap(images, spent - cpu, ended - began)

    async def _settled(self) -> float:
        """CPU seconds once the last images are through: what was served last is still at work."""
        spent = cpu_seconds(self.child.pid)
        while True:
            await asyncio.sleep(_QUIET_S)
            now = cpu_seconds(self.child.pid)
            # Its own loggers and progress bars never rest altogether.
            if now - spent <= _QUIET_S / 20:
                return spent
            spent = now

    def fail_if_ended(self) -> None:
        if self.child.returncode is not None:
            raise BenchFailed(f"img2dataset ended with {self.child.returncode}")

    async def finish(self) -> None:
        """Raises BenchFailed unless every URL of its list became a stored picture."""
        await self.origin.admit(_TAIL)
        async with asyncio.timeout(_STALL_S):
            await self.child.wait()
        stats = [json.loads(path.read_text()) for path in self.output.glob("*_stats.json")]
        stored = sum(each["successes"] for each in stats)
        if stored != self.total:
            raise BenchFailed(f"img2dataset stored {stored} of {self.total} pictures: {stats}")


@asynccontextmanager
async def img2dataset(
    kind: Kind, total: int, mode: tuple[str, ...], *, writer: str, threads: int = THREADS
) -> AsyncIterator[Img2dataset]:
    """`total` images in all laps together; `writer` is its output format."""
    installed = await asyncio.to_thread(environment.environment)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        async with published(kind, gated=True) as origin:
            total += _TAIL
            urls = origin.urls(kind.count)
            listed = (urls[number % kind.count] for number in range(total))
            (folder / "urls.txt").write_text("\n".join(listed))
            child = await asyncio.create_subprocess_exec(
                environment.command(installed),
                *_arguments(folder, writer, threads),
                *mode,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.DEVNULL,
                # A group of its own: it leaves children behind when it is ended alone.
                start_new_session=True,
                env={**os.environ, "WANDB_MODE": "disabled", "NO_PROXY": "*"},
            )
            try:
                yield Img2dataset(child, origin, total, folder / "output")
            finally:
                with suppress(ProcessLookupError):
                    os.killpg(child.pid, signal.SIGKILL)
                await child.wait()


def _arguments(folder: Path, writer: str, threads: int) -> tuple[str, ...]:
    return (
        f"--url_list={folder / 'urls.txt'}",
        f"--output_folder={folder / 'output'}",
        f"--output_format={writer}",
        f"--thread_count={threads}",
        f"--number_sample_per_shard={_SHARD}",
        "--processes_count=1",
        "--enable_wandb=False",
        # The gate may hold an answer while the other contestant has its turn.
        "--timeout=600",
    )
