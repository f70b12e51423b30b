"""Idle connections to origins, kept for a few seconds.

A handshake costs more than the rest of a small fetch; a TLS handshake costs several times as much.
These rules make it safe to reuse a connection:

- The guard checked its address when it was made, and it can reach no other address.
- It serves only the scheme, host and port that it was made for.
- Its last response ended completely. Any byte that arrives while it is idle closes it, read or
  unread (`BoundedHandler.become_idle` and `is_reusable`).
- Idle time and age are short, so that a changed DNS record is soon followed.
"""

import asyncio
from collections import defaultdict
from dataclasses import dataclass, field
from typing import NamedTuple

from consumer.fetching.http.bounded_handler import BoundedHandler
from core.aiohttp_internals import Connection

MAX_IDLE_S = 3.0
"""Common servers close an idle connection after five seconds. A close must not meet a request."""

MAX_AGE_S = 60.0
"""A connection in constant use is closed after this time, and its host is looked up again."""

MAX_IDLE_CONNECTIONS = 128


class Endpoint(NamedTuple):
    """The endpoint of a connection. `host` is the name that was looked up; `scheme` decides on TLS."""

    scheme: str
    host: str
    port: int


@dataclass(slots=True, eq=False)
class OriginConnection:
    """A connection of aiohttp. `made_at` and `idle_since` are seconds of the loop's clock."""

    endpoint: Endpoint
    connection: Connection
    made_at: float
    idle_since: float = field(default=0.0)

    @property
    def protocol(self) -> BoundedHandler | None:
        """The connection's protocol, None after it is closed."""
        protocol = self.connection.protocol
        return protocol if isinstance(protocol, BoundedHandler) else None

    def close(self) -> None:
        # Abort: a peer that ignores the TLS shutdown would hold the socket for half a minute.
        if (protocol := self.protocol) is not None:
            protocol.abort()
        self.connection.close()


class ConnectionPool:
    """Keeps idle connections: `per_host` for one endpoint, MAX_IDLE_CONNECTIONS in all.

    Over a limit, the connection that has been idle longest is closed.
    """

    def __init__(self, *, per_host: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._per_host = per_host
        self._by_endpoint: defaultdict[Endpoint, list[OriginConnection]] = defaultdict(list)
        self._by_idle_time: dict[OriginConnection, None] = {}
        self._expiry: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._by_idle_time)

    def acquire(self, endpoint: Endpoint) -> OriginConnection | None:
        """Remove and return a reusable connection, the last used first."""
        while idle := self._by_endpoint.get(endpoint):
            connection = idle[-1]
            self._remove(connection)
            protocol = connection.protocol
            if (
                protocol is not None
                and protocol.is_reusable()
                and self._loop.time() - connection.made_at < MAX_AGE_S
            ):
                return connection
            connection.close()
        return None

    def release(self, connection: OriginConnection) -> None:
        """Keep a connection whose response was read to its end; close it if it is not reusable."""
        protocol = connection.protocol
        now = self._loop.time()
        if protocol is None or not protocol.become_idle() or now - connection.made_at >= MAX_AGE_S:
            connection.close()
            return
        connection.idle_since = now
        idle = self._by_endpoint[connection.endpoint]
        idle.append(connection)
        self._by_idle_time[connection] = None
        if len(idle) > self._per_host:
            self._evict(idle[0])
        elif len(self._by_idle_time) > MAX_IDLE_CONNECTIONS:
            self._evict(next(iter(self._by_idle_time)))
        if self._expiry is None:
            self._expiry = self._loop.call_later(MAX_IDLE_S, self._expire)

    def close(self) -> None:
        if self._expiry is not None:
            self._expiry.cancel()
            self._expiry = None
        for connection in tuple(self._by_idle_time):
            self._evict(connection)

    def _expire(self) -> None:
        self._expiry = None
        deadline = self._loop.time() - MAX_IDLE_S
        while self._by_idle_time:
            oldest = next(iter(self._by_idle_time))
            if oldest.idle_since > deadline:
                self._expiry = self._loop.call_at(oldest.idle_since + MAX_IDLE_S, self._expire)
                return
            self._evict(oldest)

    def _evict(self, connection: OriginConnection) -> None:
        self._remove(connection)
        connection.close()

    def _remove(self, connection: OriginConnection) -> None:
        del self._by_idle_time[connection]
        idle = self._by_endpoint[connection.endpoint]
        idle.remove(connection)
        if not idle:
            del self._by_endpoint[connection.endpoint]
