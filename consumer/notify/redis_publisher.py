"""Telling Redis how requests ended, for servers to hear at once; nobody waits for it and nobody relies on it."""

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
    """Reads a COMPLETED request's row once, so that no server has to read it and its image's."""

    def __init__(self, tables: Tables, shared: CompletedRequestStore) -> None:
        self._tables = tables
        self._shared = shared
        self._outcomes: Batcher[Outcome, None] = Batcher(
            "redis news", self._announce, max_batch=_MAX_BATCH, max_pending=_MAX_WAITING
        )

    def announce(self, outcome: Outcome) -> None:
        """Announce an end that the table knows already; drop it where Redis is down, or too much waits."""
        if not self._shared.connection.available:
            REDIS_DROPPED.inc()
            return
        try:
            self._outcomes.submit_nowait(outcome)
        except Overloaded:
            REDIS_DROPPED.inc()

    async def drain(self) -> None:
        await self._outcomes.drain()

    async def _announce(self, batch: Sequence[Outcome]) -> Sequence[ItemResult[None]]:
        await self._shared.publish(await asyncio.gather(*map(self._news, batch)))
        return [OK] * len(batch)

    async def _news(self, outcome: Outcome) -> RequestEvent:
        completed = None if outcome.image is None else await self._completed(outcome)
        return ended_event(outcome.request_id, outcome.revision, completed)

    async def _completed(self, outcome: Outcome) -> CompletedRequest | None:
        """What a server would read; the message does not have all of it. None where the row cannot be read now."""
        try:
            request = await self._tables.read_request(outcome.request_id)
        except ImageServiceError:
            return None
        if outcome.image is None or request is None or request.revision != outcome.revision:
            return None
        return CompletedRequest(request, outcome.image)
