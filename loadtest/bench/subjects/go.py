"""The Go programs of `loadtest/bench/go`: they do the work of our server and consumer with Go's usual libraries.

They are built on first use, which needs Go, a C compiler and the headers of libjpeg-turbo.
"""

import asyncio
import hashlib
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from loadtest.bench.images.collection import Kind
from loadtest.bench.subjects.consumer import Consumer, queue_consumer
from loadtest.bench.system.backend import Backend
from loadtest.bench.system.process import BenchFailed, BenchSkipped
from loadtest.tool_cache import tool_cache

SOURCE = Path(__file__).parents[1] / "go"
_BUILD_S = 900

PLAIN = ("worker",)
"""One call per write, the standard library's decoders; no hash, no colour, no EXIF."""
TURBO = ("worker", "-turbo")
"""Shared calls, libjpeg-turbo, and everything that our consumer stores."""
TURBO_DRAFT = ("worker", "-draft")
"""TURBO with VERIFICATION=draft."""


def program(name: str) -> Path:
    """Return the path of a built program. Raises BenchSkipped without a toolchain, and BenchFailed."""
    go = shutil.which("go")
    if go is None:
        raise BenchSkipped("Go is not installed: apt-get install golang")
    # The hash in the name builds again if the sources change.
    folder = tool_cache() / f"bench-go-{_stamp()}"
    if not (folder / name).exists():
        sys.stdout.write(f"building the Go programs into {folder} …\n")
        sys.stdout.flush()
        _build(go, name, folder)
    return folder / name


def _stamp() -> str:
    digest = hashlib.sha256()
    for path in sorted(path for path in SOURCE.rglob("*") if path.is_file()):
        digest.update(f"{path.relative_to(SOURCE)}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:12]


def _build(go: str, name: str, folder: Path) -> None:
    built = subprocess.run(  # noqa: S603  our own source
        [go, "build", "-o", str(folder / name), f"./{name}"],
        cwd=SOURCE,
        capture_output=True,
        text=True,
        timeout=_BUILD_S,
        check=False,
    )
    if "jpeglib.h" in built.stderr or "C compiler" in built.stderr:
        raise BenchSkipped(
            "a C compiler or libjpeg-turbo is not installed: apt-get install gcc libjpeg62-turbo-dev"
        )
    if built.returncode:
        raise BenchFailed(f"go build: {built.stderr.strip()[-500:]}")


@asynccontextmanager
async def go_worker(aws: Backend, kind: Kind, variant: tuple[str, ...]) -> AsyncIterator[Consumer]:
    """Run a variant of the worker."""
    name, *arguments = variant
    built = await asyncio.to_thread(program, name)
    async with queue_consumer(aws, kind, (str(built), *arguments)) as consumer:
        yield consumer
