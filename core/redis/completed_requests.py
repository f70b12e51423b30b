"""COMPLETED requests in Redis, and the news of every end: what consumers tell and servers read.

    imageservice:<requests table>:<request id>   a COMPLETED request (document.py), for REDIS_TTL_S or until its expiry
    imageservice:<requests table>                the channel: a message has a line `<request id>:<revision>` for each

FAILED is never kept, for a redrive reopens it; nor is what does not exist, for it may be submitted the next moment.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import structlog
from redis.asyncio import Redis

from core.batcher import OK, Batcher, ItemResult, Ok
from core.errors import Overloaded
from core.model.request import notification_id
from core.redis.codec import Completed, MalformedDocument, decode, encode
from core.redis.connection import RedisConnection, RedisUnavailable
from core.redis.metrics import REDIS_DROPPED, REDIS_MALFORMED
from core.settings import CoreSettings

_READS_A_CALL = 100
_WRITES_A_CALL = 25
_MAX_WAITING = 1_000
"""Items that wait for one call; what comes beyond is dropped, or read from the tables."""

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class News:
    """What Redis is told at once: a request that is to be kept, an end that is to be told, or both."""

    keep: Completed | None = None
    ended: str | None = None
    """A notification id, `<request id>:<revision>`."""


def ended(request_id: str, revision: int, completed: Completed | None = None) -> News:
    return News(completed, notification_id(request_id, revision))


class CompletedRequestStore:
    """`ttl` is in seconds. Nothing raises because of Redis."""

    def __init__(self, link: RedisConnection, requests_table: str, ttl: int) -> None:
        self.link = link
        self.channel = f"imageservice:{requests_table}"
        self._ttl = ttl
        self._reads: Batcher[str, Completed | None] = Batcher(
            "redis reads", self._read, max_batch=_READS_A_CALL, max_pending=_MAX_WAITING
        )
        self._writes: Batcher[News, None] = Batcher(
            "redis writes", self._write, max_batch=_WRITES_A_CALL, max_pending=_MAX_WAITING
        )

    async def read(self, request_id: str) -> Completed | None:
        """None where Redis does not know, or does not answer in time."""
        if not self.link.passable:
            return None
        try:
            return await self._reads.submit(request_id)
        except Overloaded:
            return None

    def keep(self, completed: Completed) -> None:
        """Keep a request, without waiting for it."""
        if not self.link.passable:
            REDIS_DROPPED.inc()
            return
        try:
            self._writes.submit_nowait(News(keep=completed))
        except Overloaded:
            REDIS_DROPPED.inc()

    async def tell(self, batch: Sequence[News]) -> None:
        """One call for all: what is kept first, so that whoever hears of an end finds it."""
        documents = [
            (self._key(news.keep.request.request_id), encode(news.keep), seconds)
            for news in batch
            if news.keep is not None and (seconds := self._seconds(news.keep)) > 0
        ]
        lines = "\n".join(news.ended for news in batch if news.ended is not None)

        async def send(client: Redis) -> None:
            async with client.pipeline(transaction=False) as pipeline:
                for key, document, seconds in documents:
                    pipeline.set(key, document, ex=seconds)
                if lines:
                    pipeline.publish(self.channel, lines)
                await pipeline.execute()

        if not documents and not lines:
            return
        try:
            await self.link.call("write", send)
        except RedisUnavailable:
            REDIS_DROPPED.inc(len(batch))

    async def drain(self) -> None:
        await self._writes.drain()

    async def close(self) -> None:
        await self.drain()
        await self.link.close()

    async def _write(self, batch: Sequence[News]) -> Sequence[ItemResult[None]]:
        await self.tell(batch)
        return [OK] * len(batch)

    async def _read(self, batch: Sequence[str]) -> Sequence[ItemResult[Completed | None]]:
        keys = [self._key(request_id) for request_id in batch]

        async def fetch(client: Redis) -> list[bytes | str | None]:
            documents: list[bytes | str | None] = await client.mget(keys)
            return documents

        try:
            found = await self.link.call("read", fetch)
        except RedisUnavailable:
            return [Ok(None)] * len(batch)
        return [Ok(_decoded(*each)) for each in zip(found, batch, strict=True)]

    def _key(self, request_id: str) -> str:
        return f"{self.channel}:{request_id}"

    def _seconds(self, completed: Completed) -> int:
        expires_at = completed.request.expires_at
        return self._ttl if expires_at is None else min(self._ttl, expires_at - int(time.time()))


def _decoded(document: bytes | str | None, request_id: str) -> Completed | None:
    if document is None:
        return None
    try:
        return decode(document, request_id)
    except MalformedDocument as error:
        REDIS_MALFORMED.inc()
        _log.warning("ignored in redis", request_id=request_id, error=str(error)[:200])
        return None


def open_completed_requests(settings: CoreSettings) -> CompletedRequestStore | None:
    """None where REDIS_URL is not set. Begins to look whether it can be used, so that a fault is told at the start."""
    if settings.redis_url is None:
        return None
    link = RedisConnection(settings.redis_url.get_secret_value())
    link.begin()
    return CompletedRequestStore(link, settings.requests_table, settings.redis_ttl_s)
