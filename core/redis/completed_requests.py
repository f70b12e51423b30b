"""COMPLETED requests and request events in Redis: consumers publish them, servers read them.

    imageservice:<requests table>:<request id>   a COMPLETED request (codec.py), for REDIS_TTL_S or until it expires
    imageservice:<requests table>                the channel; a message has one line `<request id>:<revision>` per event

FAILED requests are never cached, because a retry of failed requests reopens them. Unknown ids are never cached,
because they may be submitted at any time.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import structlog
from redis.asyncio import Redis

from core.answers import MalformedAnswer
from core.batcher import OK, Batcher, ItemResult, Ok
from core.errors import Overloaded
from core.model.request import notification_id
from core.redis.codec import CompletedRequest, MalformedDocument, decode, encode
from core.redis.connection import RedisConnection, RedisUnavailable
from core.redis.metrics import REDIS_DROPPED, REDIS_MALFORMED
from core.settings import CoreSettings

_READ_BATCH = 100
_WRITE_BATCH = 25
_MAX_PENDING = 1_000
"""Items that wait for a call. Further reads go to the tables, and further writes are dropped."""

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class RequestEvent:
    """One write: a request to cache, an event to publish, or both."""

    completed: CompletedRequest | None = None
    notification_id: str | None = None
    """`<request id>:<revision>`."""


def ended_event(
    request_id: str, revision: int, completed: CompletedRequest | None = None
) -> RequestEvent:
    return RequestEvent(completed, notification_id(request_id, revision))


class CompletedRequestStore:
    """The cache and the channel of one requests table. `ttl` is in seconds. Nothing here raises because of Redis."""

    def __init__(self, connection: RedisConnection, requests_table: str, ttl: int) -> None:
        self.connection = connection
        self.channel = f"imageservice:{requests_table}"
        self._ttl = ttl
        self._reads: Batcher[str, CompletedRequest | None] = Batcher(
            "redis reads", self._read, max_batch=_READ_BATCH, max_pending=_MAX_PENDING
        )
        self._writes: Batcher[RequestEvent, None] = Batcher(
            "redis writes", self._write, max_batch=_WRITE_BATCH, max_pending=_MAX_PENDING
        )

    async def read(self, request_id: str) -> CompletedRequest | None:
        """Return the cached request. None if it is not cached, or if Redis does not answer in time."""
        if not self.connection.available:
            return None
        try:
            return await self._reads.submit(request_id)
        except Overloaded:
            return None

    def cache(self, completed: CompletedRequest) -> None:
        if not self.connection.available:
            REDIS_DROPPED.inc()
            return
        try:
            self._writes.submit_nowait(RequestEvent(completed))
        except Overloaded:
            REDIS_DROPPED.inc()

    async def publish(self, events: Sequence[RequestEvent]) -> None:
        """Write a batch in one call. Requests are cached before events are published, so a subscriber finds them."""
        documents = [
            (self._key(event.completed.request.request_id), encode(event.completed), seconds)
            for event in events
            if event.completed is not None and (seconds := self._ttl_of(event.completed)) > 0
        ]
        ids = [event.notification_id for event in events if event.notification_id is not None]

        async def send(client: Redis) -> None:
            async with client.pipeline(transaction=False) as pipeline:
                for key, document, seconds in documents:
                    pipeline.set(key, document, ex=seconds)
                if ids:
                    pipeline.publish(self.channel, "\n".join(ids))
                await pipeline.execute()

        if not documents and not ids:
            return
        try:
            await self.connection.call("write", send)
        except RedisUnavailable:
            REDIS_DROPPED.inc(len(events))

    async def drain(self) -> None:
        await self._writes.drain()

    async def close(self) -> None:
        await self.drain()
        await self.connection.close()

    async def _write(self, batch: Sequence[RequestEvent]) -> Sequence[ItemResult[None]]:
        await self.publish(batch)
        return [OK] * len(batch)

    async def _read(self, batch: Sequence[str]) -> Sequence[ItemResult[CompletedRequest | None]]:
        keys = [self._key(request_id) for request_id in batch]

        async def fetch(client: Redis) -> list[bytes | None]:
            return _decode_values(len(keys), await client.mget(keys))

        try:
            documents = await self.connection.call("read", fetch)
        except RedisUnavailable:
            return [Ok(None)] * len(batch)
        return [Ok(_decode_or_log(*pair)) for pair in zip(documents, batch, strict=True)]

    def _key(self, request_id: str) -> str:
        return f"{self.channel}:{request_id}"

    def _ttl_of(self, completed: CompletedRequest) -> int:
        """Seconds."""
        expires_at = completed.request.expires_at
        return self._ttl if expires_at is None else min(self._ttl, expires_at - int(time.time()))


def _decode_values(count: int, answer: object) -> list[bytes | None]:
    """Decode an MGET of `count` keys. Raises MalformedAnswer."""
    if not isinstance(answer, list) or len(answer) != count:
        raise MalformedAnswer(f"not {count} values")
    for value in answer:
        if not isinstance(value, bytes | None):
            raise MalformedAnswer(f"a value of type {type(value).__name__}")
    return answer


def _decode_or_log(document: bytes | None, request_id: str) -> CompletedRequest | None:
    if document is None:
        return None
    try:
        return decode(document, request_id)
    except MalformedDocument as error:
        REDIS_MALFORMED.inc()
        _log.warning(
            "malformed redis document ignored", request_id=request_id, error=str(error)[:200]
        )
        return None


def open_completed_requests(settings: CoreSettings) -> CompletedRequestStore | None:
    """Open the store and start to probe Redis, so that a fault is logged at start-up. None without REDIS_URL."""
    if settings.redis_url is None:
        return None
    connection = RedisConnection(settings.redis_url.get_secret_value())
    connection.start()
    return CompletedRequestStore(connection, settings.requests_table, settings.redis_ttl_s)
