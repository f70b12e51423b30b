"""An event loop with virtual time: waiting takes no real time."""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

R = TypeVar("R")


class Deadlock(Exception):
    """Every task waits for another one: the code under test has a deadlock."""


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """Advances its clock to the next timer instead of sleeping. It supports neither sockets nor threads."""

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
            raise Deadlock
        self._loop.advance(timeout)
        return []


def run_virtually(main: Coroutine[Any, Any, R]) -> R:
    """Run a coroutine like asyncio.run. Raises Deadlock if it would wait for ever."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(main)
