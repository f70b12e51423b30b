"""Publishes ended requests to Redis, so that servers learn of them at once. Best effort: no one waits for it."""

import asyncio
from collections.abc import Sequence

from consumer.notify.outcome import Outcome
from core.batcher import OK, Batcher, ItemResult
from core.dynamodb.tables import Tables
from core.errors import ImageServiceError, Overloaded
from core.redis.codec import CompletedRequest
from core.redis.completed_requests import CompletedRequestStore, RequestEvent, ended_event
from core.redis.metrics import REDIS_DROPPED

_MAX_BATCH = 25
_MAX_WAITING = 1_000


class RedisPublisher:
    """Publishes COMPLETED requests with their rows, so that servers do not have to read them."""

    def __init__(self, tables: Tables, store: CompletedRequestStore) -> None:
        self._tables = tables
        self._store = store
        # The name is a metric label and stays.
        self._outcomes: Batcher[Outcome, None] = Batcher(
            "redis news", self._publish, max_batch=_MAX_BATCH, max_pending=_MAX_WAITING
        )

    def publish(self, outcome: Outcome) -> None:
        """Publish an outcome that is in the table already. It is dropped if Redis is down or too many wait."""
        if not self._store.connection.available:
            REDIS_DROPPED.inc()
            return
        try:
            self._outcomes.submit_nowait(outcome)
        except Overloaded:
            REDIS_DROPPED.inc()

    async def drain(self) -> None:
        await self._outcomes.drain()

    async def _publish(self, batch: Sequence[Outcome]) -> Sequence[ItemResult[None]]:
        await self._store.publish(await asyncio.gather(*map(self._event, batch)))
        return [OK] * len(batch)

    async def _event(self, outcome: Outcome) -> RequestEvent:
        completed = None if outcome.image is None else await self._completed(outcome)
        return ended_event(outcome.request_id, outcome.revision, completed)

    async def _completed(self, outcome: Outcome) -> CompletedRequest | None:
        """Return what a server would read; a message does not have all of it. None if the row cannot be read now."""
        try:
            request = await self._tables.read_request(outcome.request_id)
        except ImageServiceError:
            return None
        if outcome.image is None or request is None or request.revision != outcome.revision:
            return None
        return CompletedRequest(request, outcome.image)
