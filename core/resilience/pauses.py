"""Pauses that grow while something stays down."""

import asyncio
import random
from contextlib import suppress

FIRST_S = 0.5
LONGEST_S = 30.0


class Pauses:
    def __init__(self, stopping: asyncio.Event) -> None:
        """A pause ends early when `stopping` is set."""
        self._stopping = stopping
        self._next = FIRST_S

    def over(self) -> None:
        """It works again: the next pause is a short one."""
        self._next = FIRST_S

    async def wait(self) -> None:
        # Jitter, or all that wait for one engine would come back at the same moment.
        pause = self._next * random.uniform(0.5, 1)  # noqa: S311
        self._next = min(LONGEST_S, self._next * 2)
        with suppress(TimeoutError):
            async with asyncio.timeout(pause):
                await self._stopping.wait()
