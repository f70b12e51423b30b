"""How a program ends on a signal."""

import asyncio
import os
import signal
import subprocess
import sys

import pytest

from core.runtime.signals import run_until_signal


async def test_work_that_ends_by_itself_keeps_its_status() -> None:
    async def work() -> int:
        return 3

    assert await run_until_signal(work()) == 3


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_cancels_work_without_a_stop(number: signal.Signals) -> None:
    """The status is the one a shell reports."""

    async def work() -> int:
        os.kill(os.getpid(), number)
        await asyncio.Event().wait()
        return 0

    assert await run_until_signal(work()) == 128 + number


async def test_cancelled_work_that_finishes_all_the_same_keeps_its_status() -> None:
    """The swap of an index, for example, cannot be taken back."""

    async def work() -> int:
        os.kill(os.getpid(), signal.SIGTERM)
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return 1
        return 0

    assert await run_until_signal(work()) == 1


async def test_a_signal_stops_work_that_drains() -> None:
    """The work returns by itself, with its own status."""
    stopping = asyncio.Event()

    async def work() -> int:
        os.kill(os.getpid(), signal.SIGTERM)
        await stopping.wait()
        return 0

    assert await run_until_signal(work(), stop=stopping.set) == 0


async def test_a_second_signal_is_ignored() -> None:
    """A rollback is cancelled once only."""
    interrupted = 0

    async def work() -> int:
        nonlocal interrupted
        second = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, second.set)
        os.kill(os.getpid(), signal.SIGTERM)
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            interrupted += 1
            os.kill(os.getpid(), signal.SIGINT)
            # Handlers run in the order of their signals, so this one comes after the other.
            os.kill(os.getpid(), signal.SIGUSR1)
            await second.wait()
            raise
        return 0

    assert await run_until_signal(work()) == 128 + signal.SIGTERM
    assert interrupted == 1


async def test_a_second_signal_may_kill() -> None:
    """The callback gets the number of the second signal."""
    first, killed = asyncio.Event(), asyncio.Event()
    numbers: list[int] = []

    def kill(number: int) -> None:
        numbers.append(number)
        killed.set()

    async def work() -> int:
        os.kill(os.getpid(), signal.SIGTERM)
        await first.wait()
        os.kill(os.getpid(), signal.SIGINT)
        await killed.wait()
        return 0

    assert await run_until_signal(work(), stop=first.set, kill=kill) == 0
    assert numbers == [signal.SIGINT]


def test_a_process_is_killed_by_the_default_action() -> None:
    """Its parent sees the signal, not an exit status."""
    code = (
        "import signal; from core.runtime.signals import kill_process; kill_process(signal.SIGTERM)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -signal.SIGTERM


def test_a_process_that_exits_at_once_flushes_its_output_and_cleans_nothing_up() -> None:
    code = (
        "import atexit; from core.runtime.signals import exit_at_once; "
        "atexit.register(print, 'cleanup'); print('output', end=''); exit_at_once(3)"
    )
    ended = subprocess.run([sys.executable, "-c", code], check=False, stdout=subprocess.PIPE)
    assert (ended.returncode, ended.stdout) == (3, b"output")
