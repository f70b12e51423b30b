"""Clients of Redis that try nothing twice, and wait for nothing long."""

import ssl
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.connection import Connection, ConnectionPool, SSLConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.maint_notifications import MaintNotificationsConfig

from core.shared.place import RedisPlace

CONNECT_S = 0.1


class _TlsConnection(SSLConnection):
    """Left to itself, each would read the system's authorities anew, for as long as a connection may take."""

    def __init__(self, *, trusted: ssl.SSLContext, **options: Any) -> None:
        super().__init__(**options)
        self.ssl_context.context = trusted


def client_at(
    place: RedisPlace, *, socket_timeout: float | None, connect_timeout: float = CONNECT_S
) -> Redis:
    """Time-outs are in seconds; `socket_timeout` is for each answer, and None waits for ever."""
    tls: dict[str, Any] = {}
    if place.trusted is not None:
        tls = {"connection_class": _TlsConnection, "trusted": place.trusted}
    pool = ConnectionPool(
        **{"connection_class": Connection, **tls},
        host=place.host,
        port=place.port,
        db=place.database,
        username=place.username,
        password=place.password,
        socket_connect_timeout=connect_timeout,
        socket_timeout=socket_timeout,
        retry=Retry(NoBackoff(), 0),
        # The same answers from Redis 6 and from Valkey, and no greeting that an old one does not know.
        protocol=2,
        maint_notifications_config=MaintNotificationsConfig(enabled=False),
        # Otherwise each connection looks up on the disk which client this is, and tells Redis.
        driver_info=None,
    )
    return Redis.from_pool(pool)
