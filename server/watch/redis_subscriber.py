"""Subscribes to request events in Redis and passes them to the watcher.

Redis pub/sub does not buffer: events that are published while the subscription is down are lost. The watcher's polling
covers the gap.
"""

from asyncio import timeout
from collections.abc import Callable, Iterator
from contextlib import suppress

import structlog
from redis.asyncio.client import PubSub
from redis.exceptions import RedisError
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type

from core.redis.completed_requests import CompletedRequestStore
from core.redis.metrics import REDIS_MALFORMED, REDIS_UP
from core.resilience.backoff import Backoff

_SUBSCRIBE_TIMEOUT_S = 1.0
_SILENCE_S = 5.0
"""A silent connection is pinged after this time, and counts as lost if it stays silent for the same time again."""
_BACKOFF = Backoff(1.0, 30.0)

_log = structlog.get_logger()


class RequestEventSubscriber:
    """Calls `on_event` with the id and the new revision of a request. `on_event` must not block."""

    def __init__(self, store: CompletedRequestStore, on_event: Callable[[str, int], None]) -> None:
        self._store = store
        self._on_event = on_event
        self._failures = 0
        self._last_logged: type[BaseException | None] | None = None
        self._up = REDIS_UP.labels("news")

    async def run(self) -> None:
        """Receive events until cancelled; subscribe again after every error."""
        self._up.set(0)
        # After any error, the next attempt may succeed. A subscription resets the failures, and so the backoff.
        retries = AsyncRetrying(
            retry=retry_if_exception_type(Exception),
            after=self._on_error,
            wait=lambda _: _BACKOFF.delay(self._failures),
        )
        await retries(self._subscribe)

    def _on_error(self, state: RetryCallState) -> None:
        self._up.set(0)
        self._failures += 1
        error = state.outcome.exception() if state.outcome is not None else None
        if type(error) is not self._last_logged:
            _log.warning("redis subscription lost", error=f"{type(error).__name__}: {error}")
            self._last_logged = type(error)

    async def _subscribe(self) -> None:
        client = self._store.connection.subscriber_client()
        try:
            async with client.pubsub() as pubsub:
                async with timeout(_SUBSCRIBE_TIMEOUT_S):
                    await pubsub.subscribe(self._store.channel)
                await self._receive(pubsub)
        finally:
            with suppress(RedisError, OSError):
                await client.aclose()

    async def _receive(self, pubsub: PubSub) -> None:
        pinged = False
        while True:
            message = await pubsub.get_message(timeout=_SILENCE_S)
            if message is None:
                if pinged:
                    raise TimeoutError("no answer to ping")
                pinged = True
                await pubsub.ping()
                continue
            pinged = False
            if message["type"] == "subscribe":
                self._on_subscribed()
            elif message["type"] == "message":
                for request_id, revision in _parse(message["data"]):
                    self._on_event(request_id, revision)

    def _on_subscribed(self) -> None:
        self._up.set(1)
        if self._failures:
            _log.info("redis subscription recovered", failures=self._failures)
            self._failures = 0
            self._last_logged = None


def _parse(data: bytes) -> Iterator[tuple[str, int]]:
    """Yield id and revision of each line `<request id>:<revision>`."""
    for line in data.decode(errors="replace").splitlines():
        request_id, _, revision = line.rpartition(":")
        if request_id and revision.isascii() and revision.isdecimal() and len(revision) < 16:  # noqa: PLR2004  2^53 has 16 digits
            yield request_id, int(revision)
        else:
            REDIS_MALFORMED.inc()
