"""Watch streams and the requests that they watch."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from core.errors import ImageServiceError
from server.metrics import WATCHED_REQUESTS
from server.status.reader import Status


class Subscription:
    """The states that one stream has to send: only the latest state of each id, so a slow client needs no queue."""

    def __init__(self, request_ids: Iterable[str]) -> None:
        self._unfinished = set(request_ids)
        self._revisions = dict.fromkeys(self._unfinished, 0)
        self._unsent: dict[str, Status] = {}
        self._changed = asyncio.Event()
        self._error: ImageServiceError | None = None

    def push(self, status: Status) -> None:
        """Replace the unsent state of the id, if the revision is higher than the last one."""
        request = status.request
        if request.revision > self._revisions[request.request_id]:
            self._revisions[request.request_id] = request.revision
            self._unsent[request.request_id] = status
            self._changed.set()

    def close_with(self, error: ImageServiceError) -> None:
        """End the stream with `error` after the unsent states."""
        self._error = error
        self._changed.set()

    async def next_status(self) -> Status | None:
        """Wait for the next state to send. Returns None once the last state of every id is terminal."""
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


@dataclass(slots=True, eq=False)
class _WatchedRequest:
    """`status` is the latest state, None before the first read."""

    subscriptions: set[Subscription] = field(default_factory=set)
    status: Status | None = None


class WatchedRequests:
    """The requests that streams watch, and the latest state of each. An id is removed with its last stream."""

    def __init__(self) -> None:
        self.present = asyncio.Event()
        """Set while any request is watched."""
        self._requests: dict[str, _WatchedRequest] = {}

    def __len__(self) -> int:
        return len(self._requests)

    def __contains__(self, request_id: str) -> bool:
        return request_id in self._requests

    def status(self, request_id: str) -> Status | None:
        watched = self._requests.get(request_id)
        return None if watched is None else watched.status

    def add(self, subscription: Subscription, request_ids: Sequence[str]) -> None:
        for request_id in request_ids:
            watched = self._requests.setdefault(request_id, _WatchedRequest())
            watched.subscriptions.add(subscription)
        self._on_change()

    def remove(self, subscription: Subscription, request_ids: Sequence[str]) -> list[str]:
        """Return the ids that no stream watches any more."""
        removed = []
        for request_id in request_ids:
            watched = self._requests[request_id]
            watched.subscriptions.discard(subscription)
            if not watched.subscriptions:
                del self._requests[request_id]
                removed.append(request_id)
        self._on_change()
        return removed

    def push(self, status: Status) -> Status | None:
        """Push a state to the streams of its request. Return the latest known state; None if nothing watches it."""
        watched = self._requests.get(status.request.request_id)
        if watched is None:
            return None
        if watched.status is None or status.request.revision > watched.status.request.revision:
            watched.status = status
        for subscription in watched.subscriptions:
            subscription.push(watched.status)
        return watched.status

    def _on_change(self) -> None:
        WATCHED_REQUESTS.set(len(self._requests))
        if self._requests:
            self.present.set()
        else:
            self.present.clear()
