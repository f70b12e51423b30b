"""Wakes all tasks that wait for a change."""

import asyncio


class Wakeup:
    def __init__(self) -> None:
        self._event = asyncio.Event()

    def notify(self) -> None:
        self._event.set()

    async def wait(self) -> None:
        """Wait for the next `notify`. It wakes everybody who waits."""
        self._event.clear()
        await self._event.wait()
