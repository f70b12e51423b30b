"""Processes that the driver starts on this machine: the origin of pictures, and, if asked to, the whole system."""

import asyncio
import os
import signal
import sys
import tempfile
from asyncio.subprocess import DEVNULL, STDOUT, Process
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from loadtest.driver.errors import NotStarted
from loadtest.driver.surroundings import Surroundings, ready

READY_SECONDS = 90.0
STOP_SECONDS = 60.0
POLL_SECONDS = 0.1


@asynccontextmanager
async def local_system(consumers: int, log: Path) -> AsyncIterator[Surroundings]:
    """`imageservice up`, until the end. It may fetch from this machine. Raises NotStarted."""
    options = ["--address", "127.0.0.1:0", "--allow-network", "127.0.0.0/8"]
    arguments = ["-m", "cli.main", "up", *options, "--consumers", str(consumers)]
    async with _running(arguments, "--ready-file", log) as ready_file:
        yield Surroundings.read(ready_file)


@asynccontextmanager
async def local_origin(hosts: int, log: Path) -> AsyncIterator[tuple[tuple[str, ...], int]]:
    """Base URLs of the origin on as many loopback addresses, and its process id."""
    arguments = ["-m", "loadtest.origin", "--hosts", str(hosts)]
    async with _running(arguments, "--ready-file", log) as ready_file:
        told = ready(ready_file)
        yield tuple(told["urls"]), told["pid"]


@asynccontextmanager
async def _running(arguments: Sequence[str], ready_option: str, log: Path) -> AsyncIterator[Path]:
    with (
        tempfile.TemporaryDirectory(prefix="imageservice-loadtest-") as folder,
        log.open("ab") as out,
    ):
        ready_file = Path(folder) / "ready.json"
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, *arguments, ready_option, str(ready_file)),
            stdin=DEVNULL,
            stdout=out,
            stderr=STDOUT,
            env={"LOG_LEVEL": "warning", **os.environ},
            # The terminal's Ctrl-C is for the driver, which ends these in order.
            start_new_session=True,
        )
        try:
            await _ready(process, ready_file, log)
            yield ready_file
        finally:
            await _stop(process)


async def _ready(process: Process, ready_file: Path, log: Path) -> None:
    try:
        async with asyncio.timeout(READY_SECONDS):
            while not ready_file.exists():  # noqa: ASYNC240  another process has no Event
                if process.returncode is not None:
                    raise NotStarted(f"ended with status {process.returncode}: see {log}")
                await asyncio.sleep(POLL_SECONDS)
    except TimeoutError:
        raise NotStarted(f"not ready within {READY_SECONDS:g} s: see {log}") from None


async def _stop(process: Process) -> None:
    with suppress(ProcessLookupError):
        process.send_signal(signal.SIGINT)
    try:
        async with asyncio.timeout(STOP_SECONDS):
            await process.wait()
    except TimeoutError:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
