"""The way to Redis: short time-outs, no second tries, and no calls at all while it is down."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeVar

import structlog
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.maint_notifications import MaintNotificationsConfig

from core.shared.circuit import Circuit
from core.shared.metrics import REDIS_CALL_SECONDS, REDIS_CALLS, REDIS_UP

CONNECT_S = 0.1
CALL_S = 0.2
"""Time for one call, a connection made for it included: as long as reading the tables might take on a bad day."""

_PROBE_S = 0.05
"""Shortest time between two looks whether it is to be tried."""

R = TypeVar("R")
_log = structlog.get_logger()


class RedisUnavailable(Exception):
    """It did not answer, or is known not to."""


class RedisLink:
    """One process's connections to the Redis at `url`; it connects when it is first used."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._client = connect(url, socket_timeout=CALL_S)
        self._circuit = Circuit()
        self._probing: asyncio.Task[None] | None = None
        self._up = REDIS_UP.labels("calls")
        # Until it is called, nothing speaks against it; a server that nobody asks anything is no outage.
        self._up.set(1)

    @property
    def passable(self) -> bool:
        """False while it is known to be down: then preparing a call is not worth the while."""
        return self._circuit.passable

    async def call(self, operation: str, command: Callable[[Redis], Awaitable[R]]) -> R:
        """Raises RedisUnavailable."""
        if not self._circuit.enter():
            raise RedisUnavailable("it is known to be down")
        started = time.perf_counter()
        outcome = "cancelled"
        try:
            async with asyncio.timeout(CALL_S):
                answer = await command(self._client)
        except Exception as error:
            # Whatever it is, a bug of the client's included: nobody may fail because of Redis.
            outcome = type(error).__name__
            await self._failed(error)
            raise RedisUnavailable(f"{operation}: {outcome}: {error}") from error
        else:
            outcome = "ok"
            self._succeeded()
            return answer
        finally:
            REDIS_CALLS.labels(operation, outcome).inc()
            REDIS_CALL_SECONDS.labels(operation).observe(time.perf_counter() - started)

    def subscriber(self) -> Redis:
        """A client of the caller's own, without a time-out for answers: news come when they come."""
        return connect(self._url, socket_timeout=None)

    async def close(self) -> None:
        if self._probing is not None:
            self._probing.cancel()
            await asyncio.wait([self._probing])
        await self._client.aclose()

    async def _failed(self, error: Exception) -> None:
        if not self._circuit.broken:
            _log.warning("redis is not used", error=f"{type(error).__name__}: {error}")
        self._circuit.failed()
        self._up.set(0)
        if self._probing is None or self._probing.done():
            self._probing = asyncio.create_task(self._probe(), name="redis probe")
        # The name may lead elsewhere by now: a primary that has become a replica answers for ever, and refuses writes.
        with suppress(RedisError, OSError, TimeoutError):
            async with asyncio.timeout(CONNECT_S):
                await self._client.connection_pool.disconnect(inuse_connections=False)

    async def _probe(self) -> None:
        """Try until it answers: an idle process would never know, and a busy one would let a caller wait for it."""
        while self._circuit.broken:
            await asyncio.sleep(max(self._circuit.wait, _PROBE_S))
            with suppress(RedisUnavailable):
                await self.call("ping", lambda client: client.ping())

    def _succeeded(self) -> None:
        if self._circuit.broken:
            _log.info("redis is used again")
        self._circuit.succeeded()
        self._up.set(1)


def connect(url: str, *, socket_timeout: float | None) -> Redis:
    """A client that tries nothing twice. Certificates are verified where `url` begins with rediss://."""
    client: Redis = Redis.from_url(
        url,
        socket_connect_timeout=CONNECT_S,
        socket_timeout=socket_timeout,
        retry=Retry(NoBackoff(), 0),
        # The same answers from Redis 6 and from Valkey, and no greeting that an old one does not know.
        protocol=2,
        maint_notifications_config=MaintNotificationsConfig(enabled=False),
        # Otherwise each connection looks up on the disk which client this is, and tells Redis.
        driver_info=None,
    )
    return client
