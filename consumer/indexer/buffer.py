"""Events between the receive and the index: few, so that none is held for long."""

import asyncio
from collections.abc import Callable

from consumer.indexer.event_queue import Event, fold

BATCH = 200
"""Most events that share a write."""
_LINGER_S = 0.25
"""How long a first event waits for others; the index is a second behind in any case."""


class Buffer:
    """Holds two batches at most, one of which is under way."""

    def __init__(self) -> None:
        self._waiting: list[Event] = []
        self._under_way = 0
        self._closed = True
        self._stopped = False
        self._moved = asyncio.Event()

    def stop(self) -> None:
        """Let nothing in and nothing out any more."""
        self._stopped = True
        self._moved.set()

    def close(self) -> list[Event]:
        """Hold nothing until `open`, as at the start. Answers what waited."""
        self._closed = True
        waiting, self._waiting = self._waiting, []
        return waiting

    def open(self) -> None:
        self._closed = False
        self._moved.set()

    async def room(self) -> int:
        """How many may be received, once that is worth a call; 0 when stopped."""
        await self._until(lambda: self._stopped or self._worth_a_call())
        return 0 if self._stopped else self._free()

    def put(self, events: list[Event]) -> list[Event]:
        """Answers what cannot be kept any more: the caller gives it back."""
        if self._closed or self._stopped:
            return events
        self._waiting.extend(events)
        self._moved.set()
        return []

    async def take(self) -> list[Event]:
        """A batch, each request once, to be followed by `done`; empty when stopped."""
        await self._until(lambda: self._stopped or bool(self._waiting))
        try:
            async with asyncio.timeout(_LINGER_S):
                await self._until(self._full)
        except TimeoutError:
            pass
        if self._stopped:
            return []
        taken, self._waiting = self._waiting[:BATCH], self._waiting[BATCH:]
        self._under_way = len(taken)
        return fold(taken)

    def done(self) -> None:
        self._under_way = 0
        self._moved.set()

    def _full(self) -> bool:
        return self._stopped or len(self._waiting) >= BATCH

    def _worth_a_call(self) -> bool:
        return self._free() >= BATCH // 4

    def _free(self) -> int:
        if self._closed:
            return 0
        return max(0, 2 * BATCH - len(self._waiting) - self._under_way)

    async def _until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            self._moved.clear()
            await self._moved.wait()
