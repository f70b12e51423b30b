"""How many requests one host gets from this process at a time."""

import asyncio
import random
from dataclasses import dataclass

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
    slots: asyncio.Semaphore
    users: int = 0


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

    async def acquire(self, host: str) -> None:
        """Take a slot, to be given back by `release`. Raises HostBusy after `max_wait`."""
        entry = self._hosts.get(host)
        if entry is None:
            entry = self._hosts[host] = _Host(asyncio.Semaphore(self._limit))
        entry.users += 1
        try:
            async with asyncio.timeout(self._max_wait):
                await entry.slots.acquire()
        except TimeoutError:
            self._leave(host)
            raise HostBusy from None
        except asyncio.CancelledError:
            self._leave(host)
            raise

    def release(self, host: str) -> None:
        """Give a slot back."""
        self._hosts[host].slots.release()
        self._leave(host)

    def _leave(self, host: str) -> None:
        entry = self._hosts[host]
        entry.users -= 1
        if not entry.users:
            del self._hosts[host]
