"""The system's processes as a test sees them, started by the fork server."""

import asyncio
import json
import os
import signal
import socket
import sys
from asyncio import StreamReader
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import Enum, auto
from typing import Protocol

from core.runtime.parent_watch import parent_pipe
from harness.command import ROOT, Ran, python_path


class Process(Protocol):
    """The part of `asyncio.subprocess.Process` that tests use."""

    @property
    def pid(self) -> int: ...
    @property
    def stdout(self) -> StreamReader | None: ...
    @property
    def returncode(self) -> int | None: ...
    async def wait(self) -> int: ...
    def send_signal(self, signal: int, /) -> None: ...
    def kill(self) -> None: ...


@dataclass(slots=True)
class ForkedProcess:
    """A process that the fork server has started."""

    pid: int
    stdout: StreamReader | None
    stderr: StreamReader | None
    _exit: asyncio.Task[int]

    @property
    def returncode(self) -> int | None:
        """The exit code, negative for a signal; None while it runs."""
        return self._exit.result() if self._exit.done() else None

    async def wait(self) -> int:
        return await asyncio.shield(self._exit)

    def send_signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


class Capture(Enum):
    """The output streams that the test reads. The others are the test's own."""

    NOTHING = auto()
    STDOUT = auto()
    BOTH = auto()


@dataclass(frozen=True, slots=True)
class Launcher:
    """Starts modules of the system by a fork server."""

    control: socket.socket

    async def start(
        self,
        module: str,
        *arguments: str,
        environment: Mapping[str, str],
        pipe: int,
        capture: Capture = Capture.NOTHING,
    ) -> ForkedProcess:
        """Run a module as `python -m` does. `pipe` is the reading end of the parent pipe."""
        request = json.dumps({"command": [module, *arguments], "environment": dict(environment)})
        status, status_end = os.pipe()
        out, out_end = os.pipe() if capture is not Capture.NOTHING else (None, os.dup(1))
        err, err_end = os.pipe() if capture is Capture.BOTH else (None, os.dup(2))
        try:
            fds = [out_end, err_end, pipe, status_end]
            await asyncio.to_thread(socket.send_fds, self.control, [request.encode()], fds)
        finally:
            for fd in (status_end, out_end, err_end):
                os.close(fd)
        reports = await _reader(status)
        pid = int(await reports.readline())
        exit_code = asyncio.create_task(_exit_code(reports))
        stdout = None if out is None else await _reader(out)
        stderr = None if err is None else await _reader(err)
        return ForkedProcess(pid, stdout, stderr, exit_code)

    async def run(self, module: str, *arguments: str, environment: Mapping[str, str]) -> Ran:
        """Run a module to its end."""
        with parent_pipe() as pipe:
            process = await self.start(
                module, *arguments, environment=environment, pipe=pipe, capture=Capture.BOTH
            )
            assert process.stdout is not None
            assert process.stderr is not None
            out, err = await asyncio.gather(process.stdout.read(), process.stderr.read())
            return Ran(await process.wait(), out.decode(), err.decode())


async def _exit_code(reports: StreamReader) -> int:
    # To the end of the stream, so that the pipe is closed as well.
    return int(await reports.read())


async def _reader(fd: int) -> StreamReader:
    """Return a stream of a pipe. It closes the pipe at the end of the stream."""
    reader = StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(fd, "rb", buffering=0)
    )
    return reader


@asynccontextmanager
async def fork_server() -> AsyncIterator[Launcher]:
    """Start a fork server, which accepts requests while it still imports. It ends with the block."""
    environment = python_path()
    environment["PYTHONPATH"] += f"{os.pathsep}{ROOT / 'tests'}"
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours:
        with theirs:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "harness.fork_server", str(theirs.fileno())),
                env=environment,
                pass_fds=(theirs.fileno(),),
                # Ctrl-C in the terminal is for pytest. The processes end when the parent pipe closes.
                start_new_session=True,
            )
        yield Launcher(ours)
    await process.wait()
