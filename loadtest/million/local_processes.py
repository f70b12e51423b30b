"""Processes that the driver starts on this machine: the origin of pictures, and, if asked to, the whole system."""

import asyncio
import json
import os
import signal
import sys
import tempfile
from asyncio.subprocess import DEVNULL, STDOUT, Process
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

READY_SECONDS = 90.0
STOP_SECONDS = 60.0
POLL_SECONDS = 0.1


class NotStarted(Exception):
    """A process ended, or was not ready in time. What it said is in the log that is named."""


@dataclass(slots=True)
class Surroundings:
    """Where everything is: read from the file that `imageservice up --ready-file` writes."""

    address: str
    environment: dict[str, str] = field(default_factory=dict)
    """Settings of server and consumers; they lead to AWS as well."""
    metrics: tuple[str, ...] = ()
    pids: Callable[[], dict[str, int]] = dict
    """Of the processes that run now, by the name that the report gives each."""
    backend: str = ""
    """What its AWS is."""

    @classmethod
    def read(cls, path: Path) -> "Surroundings":
        """Raises OSError, ValueError or KeyError where it is no such file."""
        ready = _read(path)
        return cls(
            address=ready["address"],
            environment={str(k): str(v) for k, v in ready["environment"].items()},
            metrics=tuple(ready["metrics"]),
            pids=_Pids(path, _named(ready["pids"])),
            backend="embedded AWS" if "aws" in ready["pids"] else "",
        )


@dataclass(slots=True)
class _Pids:
    """Read again each time: `imageservice up` writes the file anew when it has replaced a process."""

    path: Path
    last: dict[str, int]
    """Good while there is no file, which is so while a process is being replaced."""

    def __call__(self) -> dict[str, int]:
        with suppress(OSError, ValueError, LookupError):
            self.last = _named(_read(self.path)["pids"])
        return self.last


def _read(path: Path) -> dict[str, Any]:
    ready: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return ready


def _named(pids: dict[str, Any]) -> dict[str, int]:
    names = {"aws": "embedded AWS"}
    named: dict[str, int] = {}
    for role, pid in pids.items():
        if isinstance(pid, list):
            named |= {f"{role} {number}": one for number, one in enumerate(pid, 1)}
        else:
            named[names.get(role, role)] = pid
    return named


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
        ready = _read(ready_file)
        yield tuple(ready["urls"]), ready["pid"]


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
