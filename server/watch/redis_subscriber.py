"""What consumers tell through Redis of requests that ended, handed to the watcher.

Redis forgets a message that nobody hears: while the connection is lost, news are. The watcher's polls find what was
missed, and nothing here tries to.
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

_SUBSCRIBE_S = 1.0
_SILENCE_S = 5.0
"""Silence after which Redis is asked whether it lives, and after which it counts as gone if it does not answer."""
_BACKOFF = Backoff(1.0, 30.0)

_log = structlog.get_logger()


class RequestEventSubscriber:
    """`hear` gets the request's id and its new revision, and must not block."""

    def __init__(self, shared: CompletedRequestStore, hear: Callable[[str, int], None]) -> None:
        self._shared = shared
        self._hear = hear
        self._failures = 0
        self._told: type[BaseException | None] | None = None
        self._up = REDIS_UP.labels("news")

    async def run(self) -> None:
        """Listen until cancelled."""
        self._up.set(0)
        # Any error may be gone at the next attempt. A subscription resets the failures, and so the backoff.
        retries = AsyncRetrying(
            retry=retry_if_exception_type(Exception),
            after=self._failed,
            wait=lambda _: _BACKOFF.delay(self._failures),
        )
        await retries(self._listen)

    def _failed(self, state: RetryCallState) -> None:
        self._up.set(0)
        self._failures += 1
        error = state.outcome.exception() if state.outcome is not None else None
        if type(error) is not self._told:
            _log.warning("news are not heard", error=f"{type(error).__name__}: {error}")
            self._told = type(error)

    async def _listen(self) -> None:
        client = self._shared.connection.subscriber_client()
        try:
            async with client.pubsub() as subscription:
                async with timeout(_SUBSCRIBE_S):
                    await subscription.subscribe(self._shared.channel)
                await self._hear_all(subscription)
        finally:
            with suppress(RedisError, OSError):
                await client.aclose()

    async def _hear_all(self, subscription: PubSub) -> None:
        asked = False
        while True:
            message = await subscription.get_message(timeout=_SILENCE_S)
            if message is None:
                if asked:
                    raise TimeoutError("it is silent")
                asked = True
                await subscription.ping()
                continue
            asked = False
            if message["type"] == "subscribe":
                self._subscribed()
            elif message["type"] == "message":
                for request_id, revision in _lines(message["data"]):
                    self._hear(request_id, revision)

    def _subscribed(self) -> None:
        self._up.set(1)
        if self._failures:
            _log.info("news are heard again", failures=self._failures)
            self._failures = 0
            self._told = None


def _lines(data: bytes) -> Iterator[tuple[str, int]]:
    for line in data.decode(errors="replace").splitlines():
        request_id, _, revision = line.rpartition(":")
        if request_id and revision.isascii() and revision.isdecimal() and len(revision) < 16:  # noqa: PLR2004  2^53 has 16 digits
            yield request_id, int(revision)
        else:
            REDIS_MALFORMED.inc()
