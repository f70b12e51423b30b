"""How many requests one host gets from this process at a time."""

import asyncio
import contextlib
import random
from collections import deque
from dataclasses import dataclass, field

from core.errors import ImageServiceError

_RETRY_AFTER_S = (4.0, 8.0)


class HostBusy(ImageServiceError):
    """The host has as many of our requests as it should, or its look-up would exceed our threads.

    Nothing was asked of it, and no attempt is spent.
    `retry_after` is in seconds, drawn between 4 and 8 so that those refused together spread out.
    """

    def __init__(self) -> None:
        super().__init__("too many requests or look-ups of this kind are under way")
        self.retry_after = random.uniform(*_RETRY_AFTER_S)  # noqa: S311  spreads load, no secret


@dataclass(slots=True)
class _Host:
    """`held` slots are taken, or granted to somebody whose task has yet to run."""

    held: int = 0
    waiting: deque[asyncio.Future[None]] = field(default_factory=deque)


class HostLimiter:
    """At most `limit` requests at a time to each host, first come, first served.

    A host is remembered only while somebody holds or awaits one of its slots.
    """

    def __init__(self, limit: int, *, max_wait: float) -> None:
        """`max_wait` is in seconds: a slow host must not fill the worker with waiters."""
        self._limit = limit
        self._max_wait = max_wait
        self._hosts: dict[str, _Host] = {}

    def __len__(self) -> int:
        """Hosts that are remembered."""
        return len(self._hosts)

    def is_free(self, host: str) -> bool:
        """Whether `acquire` would not wait."""
        entry = self._hosts.get(host)
        return entry is None or entry.held < self._limit

    async def acquire(self, host: str) -> None:
        """Take a slot, to be given back by `release`. Raises HostBusy after `max_wait`."""
        entry = self._hosts.get(host)
        if entry is None:
            entry = self._hosts[host] = _Host()
        if entry.held < self._limit:
            entry.held += 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        entry.waiting.append(turn)
        try:
            async with asyncio.timeout(self._max_wait):
                await turn
        except (TimeoutError, asyncio.CancelledError) as end:
            if turn.cancelled():
                with contextlib.suppress(ValueError):  # a release may have passed it over
                    entry.waiting.remove(turn)
                self._forget(host)
            else:  # granted, but given up before it could be used
                self.release(host)
            if isinstance(end, TimeoutError):
                raise HostBusy from None
            raise

    def release(self, host: str) -> None:
        """Give a slot back, or on to the first who still waits."""
        entry = self._hosts[host]
        while entry.waiting:
            turn = entry.waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        entry.held -= 1
        self._forget(host)

    def _forget(self, host: str) -> None:
        entry = self._hosts.get(host)
        if entry is not None and not entry.held and not entry.waiting:
            del self._hosts[host]
