"""Graceful shutdown: ends a program on SIGTERM or SIGINT."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from typing import Any, NoReturn

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


async def run_until_signal(
    work: Coroutine[Any, Any, int],
    *,
    stop: Callable[[], None] | None = None,
    kill: Callable[[int], None] | None = None,
) -> int:
    """Run `work` and return its exit status. The first SIGTERM or SIGINT ends it.

    The signal calls `stop`, after which `work` drains and returns. Without `stop`, the signal cancels `work`, and the
    status of cancelled work is 128 + the signal's number, as a shell reports it.

    A second signal calls `kill` with its number, for example `kill_process`. Without `kill` it is ignored, because a
    drain or a rollback takes a moment.
    """
    # Every program needs a handler: PID 1 of a container ignores a signal that has none.
    loop = asyncio.get_running_loop()
    task = loop.create_task(work)
    received: list[int] = []

    def on_signal(number: int) -> None:
        received.append(number)
        if len(received) > 1:
            if kill is not None:
                kill(number)
        elif stop is None:
            task.cancel()
        else:
            stop()

    for each in _SIGNALS:
        loop.add_signal_handler(each, on_signal, each)
    try:
        return await task
    except asyncio.CancelledError:
        if stop is not None or not received:
            raise
        return 128 + received[0]


def kill_process(number: int) -> None:
    """End this process by the default action of a signal."""
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


def exit_at_once(status: int) -> NoReturn:
    """End this process after its output is flushed. No task is cancelled, and no library cleans up."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
