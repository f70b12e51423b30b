"""An event loop on which waiting takes no time, so that a test of back-off needs no patience."""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

R = TypeVar("R")


class NothingCanHappen(Exception):
    """Every task waits for another one: the code under test hangs."""


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """Jumps to the next timer wherever a real loop would sleep. Knows no sockets and no threads."""

    def __init__(self) -> None:
        self._now = 0.0
        super().__init__(_JumpingSelector(self))

    def time(self) -> float:
        return self._now

    def advance(self, seconds: float) -> None:
        self._now += seconds


class _JumpingSelector(selectors.SelectSelector):
    def __init__(self, loop: VirtualTimeLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise NothingCanHappen
        self._loop.advance(timeout)
        return []


def run_virtually(main: Coroutine[Any, Any, R]) -> R:
    """Like asyncio.run. Raises NothingCanHappen where that would wait for ever."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(main)
