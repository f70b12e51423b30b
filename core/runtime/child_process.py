"""Child processes: start one, stop it, and restart it with backoff when it dies."""

import asyncio
import os
import signal
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Self, TypeVar

from core.resilience.backoff import Backoff

T = TypeVar("T")

RESTART_BACKOFF = Backoff(0.5, 30.0, floor=1)
"""No jitter: one machine runs few processes, and people watch them."""
STABLE_S = 60.0
"""A failure after a run of this time counts as the first one."""


class ChildProcess:
    """A process that was started in a session of its own.

    A terminal's Ctrl-C therefore reaches only the parent, which stops its children in order.
    """

    def __init__(self, process: Process) -> None:
        self._process = process
        self.exited: asyncio.Task[int] = asyncio.create_task(process.wait())
        """Done when the process has ended. Its result is the exit code, negative for a signal."""

    @classmethod
    async def start(
        cls,
        command: Sequence[str],
        environment: Mapping[str, str],
        fd: int,
        log: Path | None = None,
    ) -> Self:
        """Start `command` with the inherited descriptor `fd`. Raises OSError.

        `log` receives both output streams; without it they stay on the terminal.
        """
        output = await asyncio.to_thread(_open_log, log)
        try:
            process = await asyncio.create_subprocess_exec(
                *command,
                env=environment,
                stdin=DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=(fd,),
                start_new_session=True,
            )
        finally:
            if output is not None:
                output.close()
        return cls(process)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process.returncode is None

    def terminate(self) -> None:
        if self.running:
            with suppress(ProcessLookupError):
                self._process.terminate()

    def kill(self) -> None:
        """Send SIGKILL to the process and to the processes that it started in its session."""
        if self.running:
            with suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)

    async def stop(self, grace_s: float) -> int:
        """Send SIGTERM, and SIGKILL after `grace_s` seconds. Returns the exit code, negative for a signal."""
        self.terminate()
        await asyncio.wait({self.exited}, timeout=grace_s)
        self.kill()
        return await self.exited


async def run_with_restarts(
    run_once: Callable[[], Awaitable[T]],
    *,
    stopping: asyncio.Event,
    on_exit: Callable[[T, int, float], bool],
    backoff: Backoff = RESTART_BACKOFF,
) -> T | None:
    """Call `run_once` again and again until `stopping` is set, with backoff between two runs.

    `run_once` returns how the run ended. After a run that `stopping` did not end, `on_exit` gets that result, the
    number of consecutive failures and the delay in seconds before the next run; it returns False to give up.
    Returns the result of the last run, or None if `stopping` was set between two runs.
    """
    failures = 0
    loop = asyncio.get_running_loop()
    while not stopping.is_set():
        started = loop.time()
        result = await run_once()
        if stopping.is_set():
            return result
        failures = 1 if loop.time() - started >= STABLE_S else failures + 1
        delay_s = backoff.delay(failures)
        if not on_exit(result, failures, delay_s):
            return result
        with suppress(TimeoutError):
            async with asyncio.timeout(delay_s):
                await stopping.wait()
    return None


def describe_exit(code: int) -> str:
    """Return a sentence part about an exit code; `code` is negative for a signal, as in `subprocess`."""
    if code >= 0:
        return f"exit status {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"


def shell_status(code: int) -> int:
    """Return a shell's exit status for an exit code that is negative for a signal."""
    return 128 - code if code < 0 else code


def _open_log(log: Path | None) -> IO[bytes] | None:
    return None if log is None else log.open("ab")
