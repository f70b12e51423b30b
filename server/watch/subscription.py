"""What one watch stream has still to send."""

import asyncio
from collections.abc import Iterable

from core.errors import ImageServiceError
from server.status.reader import Status


class Subscription:
    """The latest unsent state of each id, and nothing older: a slow reader holds one state an id, never a queue."""

    def __init__(self, request_ids: Iterable[str]) -> None:
        self._unfinished = set(request_ids)
        self._revisions = dict.fromkeys(self._unfinished, 0)
        self._unsent: dict[str, Status] = {}
        self._changed = asyncio.Event()
        self._error: ImageServiceError | None = None

    def offer(self, status: Status) -> None:
        """Take a state whose revision has risen; drop any other."""
        request = status.request
        if request.revision > self._revisions[request.request_id]:
            self._revisions[request.request_id] = request.revision
            self._unsent[request.request_id] = status
            self._changed.set()

    def end(self, error: ImageServiceError) -> None:
        """Let the stream end with `error` once it has sent what is there."""
        self._error = error
        self._changed.set()

    async def next_status(self) -> Status | None:
        """Wait for the next state; None once the last state of every id is terminal."""
        while not self._unsent:
            if not self._unfinished:
                return None
            if self._error is not None:
                raise self._error
            self._changed.clear()
            await self._changed.wait()
        request_id = next(iter(self._unsent))
        status = self._unsent.pop(request_id)
        if status.request.terminal:
            self._unfinished.discard(request_id)
        else:
            self._unfinished.add(request_id)
        return status
