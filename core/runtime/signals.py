"""Graceful shutdown: ends a program on SIGTERM or SIGINT."""

import asyncio
import signal
from collections.abc import Callable, Coroutine
from typing import Any

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


async def run_until_signal(
    work: Coroutine[Any, Any, int],
    *,
    stop: Callable[[], None] | None = None,
    second_signal_kills: bool = False,
) -> int:
    """Run `work` and return its exit status. The first SIGTERM or SIGINT ends it.

    The signal calls `stop`, after which `work` drains and returns. Without `stop`, the signal cancels `work`, and the
    status of cancelled work is 128 + the signal's number, as a shell reports it.

    A second signal is ignored, because a drain or a rollback takes a moment. With `second_signal_kills`, it ends the
    process by the system's default action.
    """
    # Every program needs a handler: PID 1 of a container ignores a signal that has none.
    loop = asyncio.get_running_loop()
    task = loop.create_task(work)
    received: list[int] = []

    def on_signal(number: int) -> None:
        if received:
            return
        received.append(number)
        if stop is None:
            task.cancel()
        else:
            stop()
        if second_signal_kills:
            for each in _SIGNALS:
                loop.remove_signal_handler(each)
                signal.signal(each, signal.SIG_DFL)

    for each in _SIGNALS:
        loop.add_signal_handler(each, on_signal, each)
    try:
        return await task
    except asyncio.CancelledError:
        if stop is not None or not received:
            raise
        return 128 + received[0]
