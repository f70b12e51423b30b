"""Reads the status of a request, and images."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from core.dynamodb.tables import Tables
from core.errors import DependencyUnavailable, ImageNotFound, RequestNotFound
from core.model.image import ImageRecord, is_published
from core.model.rendition import Rendition
from core.model.request import ImageRequest, State
from core.redis.codec import CompletedRequest
from core.redis.completed_requests import CompletedRequestStore
from imageservice.v1 import image_service_pb2 as pb
from server.converters import to_image_message, to_rendition_message, to_request_message
from server.metrics import STATUS_READS
from server.status.cache import CompletedCache

_BYTES_PER_ENTRY = 2_048
"""Bytes of a message that count as one entry of the cache. Only a long URL makes a message larger."""

_SHARED_READ_TIMEOUT_S = 0.1
"""Time to wait for another caller's read of the same request before starting a read of its own."""


@dataclass(frozen=True, slots=True)
class Status:
    """A request as it was read. `message` is built once, for any number of streams."""

    request: ImageRequest
    message: pb.ImageRequest

    def with_renditions(self, renditions: Sequence[Rendition], public_base_url: str) -> "Status":
        if not renditions:
            return self
        message = pb.ImageRequest()
        message.CopyFrom(self.message)
        message.image.renditions.extend(
            to_rendition_message(each, public_base_url) for each in renditions
        )
        return Status(self.request, message)


class StatusReader:
    """Reads from the memory of the process, else from Redis, else from the tables. Only the tables have all states.

    `public_base_url` ends with a slash. `cache` belongs to this reader; `store` is None without Redis.
    """

    def __init__(
        self,
        tables: Tables,
        public_base_url: str,
        cache: CompletedCache[Status],
        store: CompletedRequestStore | None = None,
    ) -> None:
        self._tables = tables
        self._public_base_url = public_base_url
        self._cache = cache
        self._store = store
        self._reads: dict[str, asyncio.Future[Status | None]] = {}
        self._memory_reads = STATUS_READS.labels("memory")
        self._redis_reads = STATUS_READS.labels("redis")
        self._table_reads = STATUS_READS.labels("tables")

    async def read(self, request_id: str) -> Status:
        """Strongly consistent. Raises RequestNotFound, Overloaded or DependencyUnavailable."""
        status = await self._read_request(request_id)
        if status.request.image_id is None or status.request.state is not State.COMPLETED:
            return status
        # Renditions are added later, so they are not cached with the request, which never changes again.
        renditions = await self._tables.read_renditions(status.request.image_id)
        return status.with_renditions(renditions, self._public_base_url)

    async def _read_request(self, request_id: str) -> Status:
        status = self._cache.get(request_id) or await self._join_read(request_id)
        if status is not None:
            self._memory_reads.inc()
            return status
        if request_id in self._reads:
            return await self._read(request_id)
        # There is no await between this check and the assignment, so only one caller publishes its read.
        published = self._reads[request_id] = asyncio.get_running_loop().create_future()
        try:
            status = await self._read(request_id)
            return status
        finally:
            del self._reads[request_id]
            completed = status is not None and status.request.state is State.COMPLETED
            published.set_result(status if completed else None)

    async def _join_read(self, request_id: str) -> Status | None:
        """Return the result of a read in progress if it is COMPLETED.

        That read may have started before this call. COMPLETED never changes. "Not found" or PENDING may be out of date
        by now: the caller may already know that the id was accepted, or that the request has ended.
        """
        read = self._reads.get(request_id)
        if read is None:
            return None
        await asyncio.wait([read], timeout=_SHARED_READ_TIMEOUT_S)
        return read.result() if read.done() else None

    async def _read(self, request_id: str) -> Status:
        stored = None if self._store is None else await self._store.read(request_id)
        if stored is not None:
            self._redis_reads.inc()
            return self._cached(stored.request, stored.image)
        self._table_reads.inc()
        request = await self._tables.read_request(request_id)
        if request is None:
            raise RequestNotFound(f"There is no request {request_id}.")
        if request.state is not State.COMPLETED:
            return self._status(request)
        image = await self._tables.read_image_of(request)
        if image is None:
            # The image is written before the state, so it was lost. COMPLETED without an image would be wrong, and so
            # would NOT_FOUND.
            raise DependencyUnavailable(f"the image record of {request_id} is missing")
        if self._store is not None:
            self._store.cache(CompletedRequest(request, image))
        return self._cached(request, image)

    def _cached(self, request: ImageRequest, image: ImageRecord) -> Status:
        status = self._status(request, image)
        weight = 1 + status.message.ByteSize() // _BYTES_PER_ENTRY
        self._cache.put(request.request_id, status, request.expires_at, weight=weight)
        return status

    def _status(self, request: ImageRequest, image: ImageRecord | None = None) -> Status:
        return Status(request, to_request_message(request, image, self._public_base_url))


class ImageReader:
    """Serves GetImage. `public_base_url` ends with a slash."""

    def __init__(self, tables: Tables, public_base_url: str) -> None:
        self._tables = tables
        self._public_base_url = public_base_url

    async def read(self, image_id: str) -> pb.Image:
        """Strongly consistent. Raises ImageNotFound, Overloaded or DependencyUnavailable.

        Two calls after each other, of one read unit for each row: the image's row has the id of the request.
        """
        image, renditions = await asyncio.gather(
            self._tables.read_image_by_id(image_id), self._tables.read_renditions(image_id)
        )
        request = None if image is None else await self._tables.read_request(image.request_id)
        if image is None or not is_published(image, request):
            raise ImageNotFound(f"There is no image {image_id}.")
        return to_image_message(image, self._public_base_url, renditions)
