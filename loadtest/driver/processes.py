"""Processes that the driver starts on this machine: the origin of the images, and the whole system for --up."""

import asyncio
import os
import signal
import sys
import tempfile
from asyncio.subprocess import DEVNULL, STDOUT, Process
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from loadtest.driver.execution import NotReady
from loadtest.driver.target import SystemInfo, read_ready_file

READY_TIMEOUT_S = 90.0
STOP_TIMEOUT_S = 60.0
POLL_S = 0.1


@asynccontextmanager
async def local_system(consumers: int, log: Path) -> AsyncIterator[SystemInfo]:
    """Run `imageservice up`, which may fetch from this machine. Raises NotReady."""
    options = ["--address", "127.0.0.1:0", "--allow-network", "127.0.0.0/8"]
    arguments = ["-m", "cli.main", "up", *options, "--consumers", str(consumers)]
    async with _running(arguments, "--ready-file", log) as ready_file:
        yield SystemInfo.read(ready_file)


@asynccontextmanager
async def local_origin(hosts: int, log: Path) -> AsyncIterator[tuple[tuple[str, ...], int]]:
    """Run an origin on `hosts` loopback addresses, and yield its base URLs and its process id."""
    arguments = ["-m", "loadtest.origin", "--hosts", str(hosts)]
    async with _running(arguments, "--ready-file", log) as ready_file:
        content = read_ready_file(ready_file)
        yield tuple(content["urls"]), content["pid"]


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
            # Ctrl-C of the terminal reaches only the driver, which then stops these processes in order.
            start_new_session=True,
        )
        try:
            await _wait_until_ready(process, ready_file, log)
            yield ready_file
        finally:
            await _stop(process)


async def _wait_until_ready(process: Process, ready_file: Path, log: Path) -> None:
    try:
        async with asyncio.timeout(READY_TIMEOUT_S):
            while not ready_file.exists():  # noqa: ASYNC240  a file of another process cannot be awaited
                if process.returncode is not None:
                    raise NotReady(f"ended with status {process.returncode}: see {log}")
                await asyncio.sleep(POLL_S)
    except TimeoutError:
        raise NotReady(f"not ready within {READY_TIMEOUT_S:g} s: see {log}") from None


async def _stop(process: Process) -> None:
    with suppress(ProcessLookupError):
        process.send_signal(signal.SIGINT)
    try:
        async with asyncio.timeout(STOP_TIMEOUT_S):
            await process.wait()
    except TimeoutError:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
