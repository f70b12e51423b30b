"""Reads a watched request as soon as an event announces a new revision."""

import asyncio
from collections.abc import Awaitable, Callable


class EventRefresher:
    """Runs at most one refresh of an id at a time. `refresh` must not raise."""

    def __init__(self, refresh: Callable[[str], Awaitable[None]]) -> None:
        self._refresh = refresh
        self._announced: dict[str, int] = {}
        """The highest announced revision of each id that is being refreshed."""
        self._tasks: set[asyncio.Task[None]] = set()

    def announce(self, request_id: str, revision: int) -> None:
        """Start a refresh, or let the one in progress repeat."""
        in_progress = request_id in self._announced
        self._announced[request_id] = max(revision, self._announced.get(request_id, 0))
        if not in_progress:
            task = asyncio.create_task(self._refresh_announced(request_id), name="refresh")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _refresh_announced(self, request_id: str) -> None:
        refreshed = 0
        # A revision that is announced during a read may be newer than the result of that read.
        while refreshed < (announced := self._announced[request_id]):
            refreshed = announced
            await self._refresh(request_id)
        del self._announced[request_id]
