"""img2dataset as a subject: its virtual environment, its process, and the cost of its encoding alone.

One process lives through all rounds. Its origin holds responses back while other subjects have their turn.
"""

import asyncio
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import venv
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from loadtest.bench.images.collection import Kind, collection
from loadtest.bench.images.origin import ImageOrigin, image_origin
from loadtest.bench.subjects.consumer import Lap
from loadtest.bench.system.one_core import on_core
from loadtest.bench.system.process import BenchFailed, cpu_seconds
from loadtest.tool_cache import tool_cache

VERSION = "1.47.0"
REQUIREMENTS = Path(__file__).parent / "img2dataset-requirements.txt"
CODEC = Path(__file__).parent / "img2dataset_codec.py"
_INSTALL_S = 900
_CODEC_S = 300

THREADS = 16
"""On two cores the cost was the same with 4 to 64."""

DOWNLOAD = ("--disable_all_reencoding=True",)
"""Store the fetched bytes without decoding them."""
DECODE = ("--resize_mode=no", "--skip_reencode=True")
"""Decode the whole image and store a JPEG unchanged."""
ENCODE = ("--resize_mode=no",)
"""Decode the whole image and encode it again."""

_POLL_S = 0.02
_QUIET_S = 0.5
_STALL_S = 120.0
_TAIL = 100
"""Images after the last lap. They keep the process alive while the CPU time of that lap is read."""
_SHARD = 10_000_000
"""Images per output file: more than any run has."""


def environment() -> Path:
    """Return the folder of the virtual environment, about 800 MB, created on first use. Raises BenchFailed.

    It is separate because its requirements conflict with ours.
    """
    # The hash in the name creates a new environment if the requirements change, or the interpreter: both programs must
    # run on the same build, because its optimisation decides on a third of the cost.
    build = f"{sys.version}\0{sys.base_prefix}".encode()
    stamp = hashlib.sha256(REQUIREMENTS.read_bytes() + build).hexdigest()[:8]
    folder = tool_cache() / f"img2dataset-{VERSION}-{stamp}"
    if not _command(folder).exists():
        shutil.rmtree(folder, ignore_errors=True)
        sys.stdout.write(f"installing img2dataset {VERSION} into {folder} …\n")
        sys.stdout.flush()
        _install(folder)
    return folder


def _command(folder: Path) -> Path:
    """Return the path of the `img2dataset` command. pip writes it last, so it exists only after a full install."""
    return folder / "bin" / "img2dataset"


def _install(folder: Path) -> None:
    venv.create(folder)
    # Use our own pip: installing another one into the environment would take longer than everything else.
    python = str(folder / "bin" / "python")
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet"]
    arguments = ["--disable-pip-version-check", "--requirement", str(REQUIREMENTS)]
    installed = subprocess.run(  # noqa: S603  our own interpreter
        [*pip, *arguments], capture_output=True, text=True, timeout=_INSTALL_S, check=False
    )
    if installed.returncode:
        shutil.rmtree(folder, ignore_errors=True)
        lines = installed.stderr.strip().splitlines() or ["pip printed no error"]
        raise BenchFailed(f"pip could not install img2dataset {VERSION}: {lines[-1]}")


def encoding_cost(kind: Kind) -> float:
    """Return the CPU time of img2dataset's encoding alone, in microseconds per image. Raises BenchFailed."""
    python = environment() / "bin" / "python"
    done = subprocess.run(  # noqa: S603  our script in the environment of the benchmark
        [str(python), str(CODEC), str(collection(kind))],
        capture_output=True,
        text=True,
        timeout=_CODEC_S,
        check=False,
    )
    if done.returncode:
        raise BenchFailed(f"img2dataset's codec: {done.stderr.strip()[-500:]}")
    cost: float = json.loads(done.stdout)["encode"]
    return cost


@dataclass(frozen=True, slots=True)
class Img2dataset:
    child: Process
    origin: ImageOrigin
    total: int
    output: Path

    async def lap(self, images: int) -> Lap:
        """As Subject. Its processes idle at the closed gate of the origin before and after."""
        target = await self.origin.served() + images
        cpu, began = cpu_seconds(self.child.pid), time.perf_counter()
        await self.origin.admit(images)
        async with asyncio.timeout(_STALL_S):
            while await self.origin.served() < target:
                self.fail_if_ended()
                await asyncio.sleep(_POLL_S)
            ended = time.perf_counter()
            spent = await self._settled_cpu()
        return Lap(images, spent - cpu, ended - began)

    async def _settled_cpu(self) -> float:
        """Return the CPU seconds once the images that were served last have been processed."""
        spent = cpu_seconds(self.child.pid)
        while True:
            await asyncio.sleep(_QUIET_S)
            now = cpu_seconds(self.child.pid)
            # Not zero: its loggers and progress bars always run.
            if now - spent <= _QUIET_S / 20:
                return spent
            spent = now

    def fail_if_ended(self) -> None:
        if self.child.returncode is not None:
            raise BenchFailed(f"img2dataset ended with {self.child.returncode}")

    async def finish(self) -> None:
        """Wait for the end. Raises BenchFailed unless every URL became a stored image."""
        await self.origin.admit(_TAIL)
        async with asyncio.timeout(_STALL_S):
            await self.child.wait()
        stats = [json.loads(path.read_text()) for path in self.output.glob("*_stats.json")]
        stored = sum(each["successes"] for each in stats)
        if stored != self.total:
            raise BenchFailed(f"img2dataset stored {stored} of {self.total} images: {stats}")


@asynccontextmanager
async def img2dataset(
    kind: Kind, total: int, mode: tuple[str, ...], *, writer: str, core: int | None = None
) -> AsyncIterator[Img2dataset]:
    """Run img2dataset for `total` images over all laps. `writer` is its output format; `core` holds it to one core."""
    installed = await asyncio.to_thread(environment)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        async with image_origin(kind, gated=True) as origin:
            total += _TAIL
            urls = origin.urls(kind.count)
            listed = (urls[number % kind.count] for number in range(total))
            (folder / "urls.txt").write_text("\n".join(listed))
            child = await asyncio.create_subprocess_exec(
                *on_core(core, (str(_command(installed)), *_arguments(folder, writer), *mode)),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.DEVNULL,
                # A process group of its own: if only the parent is killed, its children survive.
                start_new_session=True,
                env={**os.environ, "WANDB_MODE": "disabled", "NO_PROXY": "*"},
            )
            try:
                yield Img2dataset(child, origin, total, folder / "output")
            finally:
                with suppress(ProcessLookupError):
                    os.killpg(child.pid, signal.SIGKILL)
                await child.wait()


def _arguments(folder: Path, writer: str) -> tuple[str, ...]:
    return (
        f"--url_list={folder / 'urls.txt'}",
        f"--output_folder={folder / 'output'}",
        f"--output_format={writer}",
        f"--thread_count={THREADS}",
        f"--number_sample_per_shard={_SHARD}",
        "--processes_count=1",
        "--enable_wandb=False",
        # The gate holds a response back for as long as another subject has its turn.
        "--timeout=600",
    )
