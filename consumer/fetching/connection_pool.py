"""Connections between two exchanges, for a moment each.

A handshake costs more than the rest of a small fetch, and a TLS one several times as much. What makes
keeping a connection safe: it was judged when it was made and can reach no other address; it serves
the very scheme, host and port that it was made for; its exchange ended in full, and whatever arrives
while it rests ends it, read or unread (`BoundedHandler.rest` and `is_quiet`); and both rest and age
are short, so that a name that has moved is soon followed.
"""

import asyncio
from collections import defaultdict
from dataclasses import dataclass, field
from typing import NamedTuple

from aiohttp.connector import Connection

from consumer.fetching.bounded_handler import BoundedHandler

IDLE_S = 3.0
"""Below the five seconds after which common servers hang up, which would meet the next request."""

AGE_S = 60.0
"""A connection in constant use is retired after this, and its host looked up anew."""

MAX_IDLE = 128


class Endpoint(NamedTuple):
    """What a connection is for. `host` is as it was looked up, `scheme` says whether there is TLS."""

    scheme: str
    host: str
    port: int


@dataclass(slots=True, eq=False)
class OriginConnection:
    """`made_at` and `rests_since` are in seconds of the loop's clock."""

    endpoint: Endpoint
    connection: Connection
    made_at: float
    rests_since: float = field(default=0.0)

    @property
    def protocol(self) -> BoundedHandler | None:
        """None once it is closed."""
        protocol = self.connection.protocol
        return protocol if isinstance(protocol, BoundedHandler) else None

    def close(self) -> None:
        # At once: a peer that does not take part in TLS's farewell would hold the socket for half a minute.
        if (protocol := self.protocol) is not None:
            protocol.abort()
        self.connection.close()


class ConnectionPool:
    """At most `per_host` for one endpoint and MAX_IDLE in all; the oldest make room."""

    def __init__(self, *, per_host: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._per_host = per_host
        self._of: defaultdict[Endpoint, list[OriginConnection]] = defaultdict(list)
        self._by_age: dict[OriginConnection, None] = {}
        self._sweep: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        """Connections that rest."""
        return len(self._by_age)

    def take(self, endpoint: Endpoint) -> OriginConnection | None:
        """One that is open and quiet, the last used first. It belongs to the caller."""
        while resting := self._of.get(endpoint):
            connection = resting[-1]
            self._remove(connection)
            protocol = connection.protocol
            if (
                protocol is not None
                and protocol.is_quiet()
                and self._loop.time() - connection.made_at < AGE_S
            ):
                return connection
            connection.close()
        return None

    def keep(self, connection: OriginConnection) -> None:
        """Let it rest, or close it where it may not. To be called only once its answer was read to its end."""
        protocol = connection.protocol
        now = self._loop.time()
        if protocol is None or not protocol.rest() or now - connection.made_at >= AGE_S:
            connection.close()
            return
        connection.rests_since = now
        resting = self._of[connection.endpoint]
        resting.append(connection)
        self._by_age[connection] = None
        if len(resting) > self._per_host:
            self._drop(resting[0])
        elif len(self._by_age) > MAX_IDLE:
            self._drop(next(iter(self._by_age)))
        if self._sweep is None:
            self._sweep = self._loop.call_later(IDLE_S, self._expire)

    def close(self) -> None:
        """Close all that rest."""
        if self._sweep is not None:
            self._sweep.cancel()
            self._sweep = None
        for connection in tuple(self._by_age):
            self._drop(connection)

    def _expire(self) -> None:
        self._sweep = None
        deadline = self._loop.time() - IDLE_S
        while self._by_age:
            oldest = next(iter(self._by_age))
            if oldest.rests_since > deadline:
                self._sweep = self._loop.call_at(oldest.rests_since + IDLE_S, self._expire)
                return
            self._drop(oldest)

    def _drop(self, connection: OriginConnection) -> None:
        self._remove(connection)
        connection.close()

    def _remove(self, connection: OriginConnection) -> None:
        del self._by_age[connection]
        resting = self._of[connection.endpoint]
        resting.remove(connection)
        if not resting:
            del self._of[connection.endpoint]
