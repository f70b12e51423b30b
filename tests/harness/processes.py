"""The system's processes as a test sees them, started by the fork server."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from asyncio import StreamReader
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path
from typing import IO, Any, Protocol, Self

from core.runtime.parent_watch import parent_pipe

ROOT = Path(__file__).parents[2]


def python_path() -> dict[str, str]:
    """Return the environment of a Python process that imports the project."""
    path = os.pathsep.join([str(ROOT), str(ROOT / "protos"), os.environ.get("PYTHONPATH", "")])
    return {**os.environ, "PYTHONPATH": path}


@dataclass(frozen=True, slots=True)
class CompletedProcess:
    """A process that has ended."""

    code: int
    out: str
    err: str

    @property
    def objects(self) -> list[dict[str, Any]]:
        """The objects that `--json` printed."""
        return [json.loads(line) for line in self.out.splitlines()]


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
    """Starts modules of the system in forks of one process that has imported them."""

    control: socket.socket
    server: "subprocess.Popen[bytes]"

    @classmethod
    def open(cls) -> Self:
        """Start the fork server. It accepts requests while it still imports."""
        environment = python_path()
        environment["PYTHONPATH"] += f"{os.pathsep}{ROOT / 'tests'}"
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            server = subprocess.Popen(
                [sys.executable, "-m", "harness.fork_server", str(theirs.fileno())],
                env=environment,
                pass_fds=(theirs.fileno(),),
                # Ctrl-C in the terminal is for pytest. The processes end when the parent pipe closes.
                start_new_session=True,
            )
        return cls(ours, server)

    def close(self) -> None:
        self.control.close()
        self.server.wait()

    async def start(
        self,
        module: str,
        *arguments: str,
        environment: Mapping[str, str],
        pipe: int,
        capture: Capture = Capture.NOTHING,
        stdin: str = "",
        log: IO[bytes] | None = None,
    ) -> ForkedProcess:
        """Run a module as `python -m` does. `pipe` is the reading end of the parent pipe.

        `log` receives the output that is not captured; by default it is the output of the test run.
        """
        request = json.dumps({"command": [module, *arguments], "environment": dict(environment)})
        status, status_end = os.pipe()
        out, out_end = (
            os.pipe()
            if capture is not Capture.NOTHING
            else (None, os.dup(1 if log is None else log.fileno()))
        )
        err, err_end = (
            os.pipe()
            if capture is Capture.BOTH
            else (None, os.dup(2 if log is None else log.fileno()))
        )
        given = await asyncio.to_thread(_file_of, stdin)
        try:
            fds = [given, out_end, err_end, pipe, status_end]
            await asyncio.to_thread(socket.send_fds, self.control, [request.encode()], fds)
        finally:
            for fd in (given, status_end, out_end, err_end):
                os.close(fd)
        reports = await _reader(status)
        pid = int(await reports.readline())
        exit_code = asyncio.create_task(_exit_code(reports))
        stdout = None if out is None else await _reader(out)
        stderr = None if err is None else await _reader(err)
        return ForkedProcess(pid, stdout, stderr, exit_code)

    async def run(
        self, module: str, *arguments: str, environment: Mapping[str, str], stdin: str = ""
    ) -> CompletedProcess:
        """Run a module to its end."""
        with parent_pipe() as pipe:
            process = await self.start(
                module,
                *arguments,
                environment=environment,
                pipe=pipe,
                capture=Capture.BOTH,
                stdin=stdin,
            )
            assert process.stdout is not None
            assert process.stderr is not None
            out, err = await asyncio.gather(process.stdout.read(), process.stderr.read())
            return CompletedProcess(await process.wait(), out.decode(), err.decode())


_launchers: list[Launcher] = []
"""At most one. It is empty in a test run that starts no process."""


async def launcher() -> Launcher:
    """Return the launcher of this test run."""
    if not _launchers:
        _launchers.append(await asyncio.to_thread(Launcher.open))
    return _launchers[0]


def close_launcher() -> None:
    """End the fork server, at the end of the test run."""
    while _launchers:
        _launchers.pop().close()


def _file_of(text: str) -> int:
    """Return a descriptor of a file in memory with this text, to be read from its start."""
    fd = os.memfd_create("stdin")
    os.write(fd, text.encode())
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


async def _exit_code(reports: StreamReader) -> int:
    # Read to the end of the stream, which also closes the pipe.
    return int(await reports.read())


async def _reader(fd: int) -> StreamReader:
    """Return a stream of a pipe. It closes the pipe at the end of the stream."""
    reader = StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(fd, "rb", buffering=0)
    )
    return reader
