"""One child process: how it is started, told to leave, and spoken of."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Self

# The pipe that ends the children when their parent is gone.


@contextmanager
def lifeline() -> Iterator[int]:
    """The reading end, for the children's leash. This process alone holds the writing end, to the end.

    Python makes the ends non-inheritable (PEP 446), so no child can hold the writing end by accident. When this
    process ends, in whatever way, the kernel closes it.
    """
    reading, writing = os.pipe()
    try:
        yield reading
    finally:
        os.close(writing)
        os.close(reading)


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """What is started and when it counts as ready."""

    name: str
    """For people: "consumer 2"."""
    role: str
    """For programs: "consumer"."""
    command: Callable[[int], Sequence[str]]
    """The command, given the reading end of the leash."""
    environment: Mapping[str, str]
    ready: Callable[[], Awaitable[None]]
    """Returns once the child does its work; need not notice that it died."""
    grace: float = 10.0
    """Seconds from SIGTERM to SIGKILL."""
    log: Path | None = None
    """Gets all that the child says; None leaves it on the terminal."""


def leashed(module: str, *arguments: str) -> Callable[[int], Sequence[str]]:
    """The command of a Python module that leaves when the leash's other end closes."""

    def command(leash: int) -> Sequence[str]:
        bound = [sys.executable, "-m", "cli.local.parent_watch", "--fd", str(leash)]
        return [*bound, "--", "-m", module, *arguments]

    return command


class Child:
    """A process that has been started."""

    def __init__(self, spec: ChildSpec, process: Process) -> None:
        self.spec = spec
        self._process = process
        self.ended: asyncio.Task[int] = asyncio.create_task(process.wait())
        """Ends when the process does, with what `describe_exit` takes."""

    @classmethod
    async def start(cls, spec: ChildSpec, leash: int) -> Self:
        """Start it. In a session of its own, so that the terminal's Ctrl-C is its parent's alone to handle."""
        with_log = await asyncio.to_thread(_opened, spec.log)
        try:
            process = await asyncio.create_subprocess_exec(
                *spec.command(leash),
                env=spec.environment,
                stdin=DEVNULL,
                stdout=with_log,
                stderr=with_log,
                pass_fds=(leash,),
                start_new_session=True,
            )
        finally:
            if with_log is not None:
                with_log.close()
        return cls(spec, process)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process.returncode is None

    async def stop(self, grace: float | None = None) -> int:
        """SIGTERM, then SIGKILL to it and its own children after `grace` seconds. Returns how it ended."""
        self._signal(signal.SIGTERM)
        await asyncio.wait({self.ended}, timeout=self.spec.grace if grace is None else grace)
        self.kill()
        return await self.ended

    def kill(self) -> None:
        """End it now, and what it started in its session."""
        if self.running:
            with suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        if self.running:
            with suppress(ProcessLookupError):
                self._process.send_signal(number)


def _opened(log: Path | None) -> IO[bytes] | None:
    return None if log is None else log.open("ab")


def describe_exit(code: int) -> str:
    """How a process ended, for people; `code` is negative for a signal, as in `subprocess`."""
    if code >= 0:
        return f"exit status {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"
