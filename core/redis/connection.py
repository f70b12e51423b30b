"""A connection to Redis behind a circuit breaker: short timeouts, no retries, and no calls while Redis is down."""

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
from redis.commands.core import AsyncScript
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

from core.redis import metrics
from core.redis.metrics import REDIS_CALL_SECONDS, REDIS_CALLS, REDIS_UP
from core.redis.url import RedisUrl
from core.resilience.circuit_breaker import CircuitBreaker
from core.runtime.deadline import Deadline

CONNECT_TIMEOUT_S = 0.1

CALL_TIMEOUT_S = 0.2
"""For one call with its connect: about as long as a read of the tables takes at its slowest."""

REJECTION_WINDOW_S = 30.0
"""Redis counts as rejecting until there was no rejection for this time."""

_START_DELAY_S = 1.0
"""Before the first probe: a process that starts is too busy to receive the answer in time."""

_WRONG_NODE = (AskError, ClusterCrossSlotError, ClusterError, ReadOnlyError, TryAgainError)
"""Errors of a replica or of a cluster node: another node must be called."""

R = TypeVar("R")
_log = structlog.get_logger()


class _TlsConnection(SSLConnection):
    """Uses a shared SSL context. Loading the system's CA certificates takes longer than the connect timeout."""

    def __init__(self, *, context: ssl.SSLContext, **options: Any) -> None:
        super().__init__(**options)
        self.ssl_context.context = context


def new_client(
    url: RedisUrl, *, socket_timeout: float | None, connect_timeout: float = CONNECT_TIMEOUT_S
) -> Redis:
    """Make a client that never retries. Timeouts are in seconds; `socket_timeout` None waits for ever."""
    tls: dict[str, Any] = {}
    if url.ssl_context is not None:
        tls = {"connection_class": _TlsConnection, "context": url.ssl_context}
    pool = ConnectionPool(
        **{"connection_class": Connection, **tls},
        host=url.host,
        port=url.port,
        db=url.database,
        username=url.username,
        password=url.password,
        socket_connect_timeout=connect_timeout,
        socket_timeout=socket_timeout,
        retry=Retry(NoBackoff(), 0),
        # Redis 6 and Valkey answer alike with RESP2, and it needs no HELLO, which old versions do not have.
        protocol=2,
        maint_notifications_config=MaintNotificationsConfig(enabled=False),
        # Otherwise each connection reads the client's version from the disk and sends it to Redis.
        driver_info=None,
    )
    return Redis.from_pool(pool)


class RedisUnavailable(Exception):
    """Redis did not answer, rejected the command, or is known to be down."""


class Unsuitable(Exception):
    """Redis answers, but is not a single primary that holds all keys and takes writes."""


class RedisConnection:
    """The connections of one process to the Redis at `url`, made at first use.

    Raises ValueError if `url` is malformed or its CA certificates cannot be read.
    """

    def __init__(self, url: str) -> None:
        metrics.initialise()
        self._url = RedisUrl.parse(url)
        self._client = new_client(self._url, socket_timeout=CALL_TIMEOUT_S)
        self._breaker = CircuitBreaker(probe=self._probe)
        self._rejecting: asyncio.TimerHandle | None = None
        self._last_logged: type[Exception] | None = None
        self._up = REDIS_UP.labels("calls")
        # Up until a call fails: a server without traffic is no outage.
        self._up.set(1)

    @property
    def available(self) -> bool:
        """False while Redis is known to be down. Callers check it before they prepare a call."""
        return self._breaker.closed

    def start(self) -> None:
        """Probe Redis soon, so that a fault is logged at start-up and not at the first call."""
        self._breaker.start_probe(_START_DELAY_S)

    async def call(self, operation: str, command: Callable[[Redis], Awaitable[R]]) -> R:
        """Raises RedisUnavailable."""
        # Only the probe closes the breaker. A caller's success proves little: a replica answers reads and then rejects
        # the next write.
        if not self._breaker.allow():
            raise RedisUnavailable("it is known to be down")
        return await self._attempt(operation, command)

    def script(self, text: str) -> AsyncScript:
        """Return a Lua script that runs by its digest, and is loaded into Redis when it is not there."""
        return self._client.register_script(text)

    def subscriber_client(self) -> Redis:
        """Make a client for a subscription, which has no read timeout. The caller closes it."""
        return new_client(self._url, socket_timeout=None)

    async def close(self) -> None:
        if self._rejecting is not None:
            self._rejecting.cancel()
        await self._breaker.close()
        await self._client.aclose()

    async def _attempt(self, operation: str, command: Callable[[Redis], Awaitable[R]]) -> R:
        started = time.perf_counter()
        outcome = "cancelled"
        try:
            with Deadline(CALL_TIMEOUT_S):
                answer = await command(self._client)
        except Exception as error:
            # Any error, also a bug of the client: no caller may fail because of Redis.
            outcome = type(error).__name__
            if isinstance(error, ResponseError) and not isinstance(error, _WRONG_NODE):
                self._on_rejection(operation, error)
            else:
                await self._on_failure(error)
            raise RedisUnavailable(f"{operation}: {outcome}: {error}") from error
        else:
            outcome = "ok"
            return answer
        finally:
            REDIS_CALLS.labels(operation, outcome).inc()
            REDIS_CALL_SECONDS.labels(operation).observe(time.perf_counter() - started)

    def _on_rejection(self, operation: str, error: ResponseError) -> None:
        """Keep calling: other commands may succeed. A Redis without free memory still reads and publishes."""
        if self._rejecting is None:
            _log.warning(
                "redis command rejected",
                operation=operation,
                error=f"{type(error).__name__}: {error}",
            )
        else:
            self._rejecting.cancel()
        self._up.set(0)
        # A full Redis accepts a write now and then. The window keeps this out of the log and of the metric.
        loop = asyncio.get_running_loop()
        self._rejecting = loop.call_later(REJECTION_WINDOW_S, self._on_rejections_over)

    def _on_rejections_over(self) -> None:
        self._rejecting = None
        _log.info("redis commands accepted again", quiet_s=REJECTION_WINDOW_S)
        if self._breaker.closed:
            self._up.set(1)

    async def _on_failure(self, error: Exception) -> None:
        # Logged once per kind of error: an outage may begin with a timeout, and only the next probe gets the cause.
        if type(error) is not self._last_logged:
            _log.warning("redis unavailable", error=f"{type(error).__name__}: {error}")
            self._last_logged = type(error)
        self._breaker.record_failure()
        self._up.set(0)
        # Resolve the name again: a primary that became a replica would keep answering, and reject writes.
        with suppress(RedisError, OSError, TimeoutError):
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await self._client.connection_pool.disconnect(inuse_connections=False)

    async def _probe(self) -> bool:
        try:
            await self._attempt("ping", _check_role)
        except RedisUnavailable:
            return False
        if not self._breaker.closed:
            _log.info("redis recovered")
        self._last_logged = None
        if self._rejecting is None:
            self._up.set(1)
        return True


async def _check_role(client: Redis) -> None:
    """Raise Unsuitable unless Redis says that it is a single primary."""
    try:
        answer = await client.execute_command("HELLO")  # type: ignore[no-untyped-call]
    except ResponseError:
        # The ACL may forbid HELLO. Redis is up, and other answers show whether it is suitable.
        return
    hello = dict(zip(answer[::2], answer[1::2], strict=True))
    if hello.get(b"mode") not in {b"standalone", None}:
        raise Unsuitable(
            f"it is in {hello[b'mode'].decode()} mode; REDIS_URL must lead to one primary without cluster mode"
        )
    if hello.get(b"role") not in {b"master", None}:
        raise Unsuitable("it is a replica; REDIS_URL must lead to the primary")
