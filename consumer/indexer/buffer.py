"""Buffers events between receive and write. It is small, so that no event is held for long."""

import asyncio
from collections.abc import Callable

from consumer.indexer.event_queue import Event, dedupe

BATCH = 200
"""Events in one write, at most."""
_LINGER_S = 0.25
"""How long the first event of a batch waits for others. The engine refreshes the index once a second anyway."""


class Buffer:
    """Holds at most two batches, one of them in progress. It is paused until the first `resume`."""

    def __init__(self) -> None:
        self._waiting: list[Event] = []
        self._in_progress = 0
        self._paused = True
        self._stopped = False
        self._changed = asyncio.Event()

    def stop(self) -> None:
        """Accept and return no more events."""
        self._stopped = True
        self._changed.set()

    def pause(self) -> list[Event]:
        """Accept no events until `resume`, and return those that wait."""
        self._paused = True
        waiting, self._waiting = self._waiting, []
        return waiting

    def resume(self) -> None:
        self._paused = False
        self._changed.set()

    async def capacity(self) -> int:
        """Return how many events to receive, as soon as it is worth a call; 0 after `stop`."""
        await self._wait_for(lambda: self._stopped or self._worth_a_call())
        return 0 if self._stopped else self._free()

    def put(self, events: list[Event]) -> list[Event]:
        """Add events. Returns those that are not accepted: all of them while paused, and after `stop`."""
        if self._paused or self._stopped:
            return events
        self._waiting.extend(events)
        self._changed.set()
        return []

    async def take_batch(self) -> list[Event]:
        """Wait for events and return a batch, one event per request. `batch_done` must follow. Empty after `stop`."""
        await self._wait_for(lambda: self._stopped or bool(self._waiting))
        try:
            async with asyncio.timeout(_LINGER_S):
                await self._wait_for(self._full)
        except TimeoutError:
            pass
        if self._stopped:
            return []
        batch, self._waiting = self._waiting[:BATCH], self._waiting[BATCH:]
        self._in_progress = len(batch)
        return dedupe(batch)

    def batch_done(self) -> None:
        self._in_progress = 0
        self._changed.set()

    def _full(self) -> bool:
        return self._stopped or len(self._waiting) >= BATCH

    def _worth_a_call(self) -> bool:
        return self._free() >= BATCH // 4

    def _free(self) -> int:
        if self._paused:
            return 0
        return max(0, 2 * BATCH - len(self._waiting) - self._in_progress)

    async def _wait_for(self, condition: Callable[[], bool]) -> None:
        while not condition():
            self._changed.clear()
            await self._changed.wait()
