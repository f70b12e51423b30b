"""The way to Redis: short time-outs, no second tries, and no calls at all while it is down."""

import asyncio
import ssl
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, TypeVar

import structlog
from redis.asyncio import Redis
from redis.asyncio.connection import Connection, ConnectionPool, SSLConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import (
    AskError,
    ClusterCrossSlotError,
    ClusterError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TryAgainError,
)
from redis.maint_notifications import MaintNotificationsConfig

from core.redis.metrics import REDIS_CALL_SECONDS, REDIS_CALLS, REDIS_UP
from core.redis.url import RedisUrl
from core.resilience.circuit_breaker import CircuitBreaker

# Clients of Redis that try nothing twice, and wait for nothing long.

CONNECT_S = 0.1


class _TlsConnection(SSLConnection):
    """Left to itself, each would read the system's authorities anew, for as long as a connection may take."""

    def __init__(self, *, trusted: ssl.SSLContext, **options: Any) -> None:
        super().__init__(**options)
        self.ssl_context.context = trusted


def client_at(
    place: RedisUrl, *, socket_timeout: float | None, connect_timeout: float = CONNECT_S
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


CALL_S = 0.2
"""Time for one call, a connection made for it included: as long as reading the tables might take on a bad day."""

REFUSING_S = 30.0
"""Time after its last refusal for which it counts as one that refuses."""

_START_S = 1.0
"""Time before the first look: a process that starts is too busy with itself to hear an answer in time."""

_ELSEWHERE = (AskError, ClusterCrossSlotError, ClusterError, ReadOnlyError, TryAgainError)
"""Answers of a replica, and of a node of a cluster: whoever is to be asked is another one."""

R = TypeVar("R")
_log = structlog.get_logger()


class RedisUnavailable(Exception):
    """It did not answer, or refused, or is known not to answer."""


class Unsuitable(Exception):
    """It answers, but is not one primary that has everything and takes writes."""


class RedisConnection:
    """One process's connections to the Redis at `url`; it connects when it is first used.

    Raises ValueError where `url` is none, or names authorities that cannot be read.
    """

    def __init__(self, url: str) -> None:
        self._place = RedisUrl.parse(url)
        self._client = client_at(self._place, socket_timeout=CALL_S)
        self._breaker = CircuitBreaker(probe=self._probe)
        self._refusing: asyncio.TimerHandle | None = None
        self._told: type[Exception] | None = None
        self._up = REDIS_UP.labels("calls")
        # Until it is called, nothing speaks against it; a server that nobody asks anything is no outage.
        self._up.set(1)

    @property
    def passable(self) -> bool:
        """False while it is known to be down: then preparing a call is not worth the while."""
        return self._breaker.closed

    def begin(self) -> None:
        """Look soon whether it can be used, so that what is wrong is told at the start, not at the first end."""
        self._breaker.start_probe(_START_S)

    async def call(self, operation: str, command: Callable[[Redis], Awaitable[R]]) -> R:
        """Raises RedisUnavailable."""
        # A caller's success would prove little: a replica answers reads, and then refuses the next write.
        if not self._breaker.allow():
            raise RedisUnavailable("it is known to be down")
        return await self._attempt(operation, command)

    def subscriber(self) -> Redis:
        """A client of the caller's own, without a time-out for answers: news come when they come."""
        return client_at(self._place, socket_timeout=None)

    async def close(self) -> None:
        if self._refusing is not None:
            self._refusing.cancel()
        await self._breaker.close()
        await self._client.aclose()

    async def _attempt(self, operation: str, command: Callable[[Redis], Awaitable[R]]) -> R:
        started = time.perf_counter()
        outcome = "cancelled"
        try:
            async with asyncio.timeout(CALL_S):
                answer = await command(self._client)
        except Exception as error:
            # Whatever it is, a bug of the client's included: nobody may fail because of Redis.
            outcome = type(error).__name__
            if isinstance(error, ResponseError) and not isinstance(error, _ELSEWHERE):
                self._refused(operation, error)
            else:
                await self._failed(error)
            raise RedisUnavailable(f"{operation}: {outcome}: {error}") from error
        else:
            outcome = "ok"
            return answer
        finally:
            REDIS_CALLS.labels(operation, outcome).inc()
            REDIS_CALL_SECONDS.labels(operation).observe(time.perf_counter() - started)

    def _refused(self, operation: str, error: ResponseError) -> None:
        """It lives, and may do well whatever else it is asked: one that is full still reads, and tells news."""
        if self._refusing is None:
            _log.warning(
                "redis refuses", operation=operation, error=f"{type(error).__name__}: {error}"
            )
        else:
            self._refusing.cancel()
        self._up.set(0)
        # A full one takes something now and then. It shall neither fill the log nor look well in between.
        self._refusing = asyncio.get_running_loop().call_later(REFUSING_S, self._refuses_no_more)

    def _refuses_no_more(self) -> None:
        self._refusing = None
        _log.info("redis refuses nothing any more", quiet_s=REFUSING_S)
        if self._breaker.closed:
            self._up.set(1)

    async def _failed(self, error: Exception) -> None:
        # Once for each reason: an outage may begin with a time-out, and only the next try learns why.
        if type(error) is not self._told:
            _log.warning("redis is not used", error=f"{type(error).__name__}: {error}")
            self._told = type(error)
        self._breaker.record_failure()
        self._up.set(0)
        # The name may lead elsewhere by now: a primary that has become a replica answers for ever, and refuses writes.
        with suppress(RedisError, OSError, TimeoutError):
            async with asyncio.timeout(CONNECT_S):
                await self._client.connection_pool.disconnect(inuse_connections=False)

    async def _probe(self) -> bool:
        try:
            await self._attempt("ping", _greet)
        except RedisUnavailable:
            return False
        if not self._breaker.closed:
            _log.info("redis is used again")
        self._told = None
        if self._refusing is None:
            self._up.set(1)
        return True


async def _greet(client: Redis) -> None:
    """Ask who it is. Raises Unsuitable."""
    try:
        answer = await client.execute_command("HELLO")  # type: ignore[no-untyped-call]
    except ResponseError:
        # Its rules do not let us ask. It lives, and what it is its answers will show.
        return
    told = dict(zip(answer[::2], answer[1::2], strict=True))
    if told.get(b"mode") not in {b"standalone", None}:
        raise Unsuitable(
            f"it is in {told[b'mode'].decode()} mode; REDIS_URL must lead to one primary without cluster mode"
        )
    if told.get(b"role") not in {b"master", None}:
        raise Unsuitable("it is a replica; REDIS_URL must lead to the primary")
