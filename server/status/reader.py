"""Reading what became of a request."""

import asyncio
from dataclasses import dataclass

from core.dynamodb.tables import Tables
from core.errors import DependencyUnavailable, ImageNotFound, RequestNotFound
from core.model.image import ImageRecord
from core.model.request import ImageRequest, State
from core.redis.codec import CompletedRequest
from core.redis.completed_requests import CompletedRequestStore
from imageservice.v1 import image_service_pb2 as pb
from server.converters import image_message, request_message
from server.metrics import STATUS_READS
from server.status.cache import CompletedCache

# Reading one image.


class ImageReader:
    """`public_base_url` ends with a slash."""

    def __init__(self, tables: Tables, public_base_url: str) -> None:
        self._tables = tables
        self._public_base_url = public_base_url

    async def read(self, image_id: str) -> pb.Image:
        """Strongly consistent. Raises ImageNotFound, Overloaded or DependencyUnavailable."""
        image = await self._tables.read_image_by_id(image_id)
        if image is None:
            raise ImageNotFound(f"There is no image {image_id}.")
        return image_message(image, self._public_base_url)


_PATIENCE_S = 0.1
"""Time to wait for another caller's read of the same request, before reading it anew."""


@dataclass(frozen=True, slots=True)
class Status:
    """A request as it was read. `message` is built once, however many streams it goes to."""

    request: ImageRequest
    message: pb.ImageRequest


class StatusReader:
    """Out of memory, else Redis, else the tables: the first two know nothing but COMPLETED requests.

    `public_base_url` ends with a slash. `cache` is for this reader alone; `shared` is None without Redis.
    """

    def __init__(
        self,
        tables: Tables,
        public_base_url: str,
        cache: CompletedCache[Status],
        shared: CompletedRequestStore | None = None,
    ) -> None:
        self._tables = tables
        self._public_base_url = public_base_url
        self._cache = cache
        self._shared = shared
        self._under_way: dict[str, asyncio.Future[Status | None]] = {}
        self._remembered = STATUS_READS.labels("memory")
        self._shared_out = STATUS_READS.labels("redis")
        self._read_anew = STATUS_READS.labels("tables")

    async def read(self, request_id: str) -> Status:
        """Strongly consistent. Raises RequestNotFound, Overloaded or DependencyUnavailable."""
        kept = self._cache.get(request_id) or await self._of_another_caller(request_id)
        if kept is not None:
            self._remembered.inc()
            return kept
        if request_id in self._under_way:
            return await self._read(request_id)
        # Nothing is awaited between that look and this, so no two lead at once.
        led = self._under_way[request_id] = asyncio.get_running_loop().create_future()
        status = None
        try:
            status = await self._read(request_id)
            return status
        finally:
            del self._under_way[request_id]
            completed = status is not None and status.request.state is State.COMPLETED
            led.set_result(status if completed else None)

    async def _of_another_caller(self, request_id: str) -> Status | None:
        """What a read under way found, if that is COMPLETED.

        Such a read may have begun before this call. COMPLETED is true for ever; but "not found" or PENDING may be
        out of date by then: the caller may have been told meanwhile that the id is taken, or that it has ended.
        """
        under_way = self._under_way.get(request_id)
        if under_way is None:
            return None
        await asyncio.wait([under_way], timeout=_PATIENCE_S)
        return under_way.result() if under_way.done() else None

    async def _read(self, request_id: str) -> Status:
        found = None if self._shared is None else await self._shared.read(request_id)
        if found is not None:
            self._shared_out.inc()
            return self._kept(found.request, found.image)
        self._read_anew.inc()
        request = await self._tables.read_request(request_id)
        if request is None:
            raise RequestNotFound(f"There is no request {request_id}.")
        if request.state is not State.COMPLETED:
            return self._status(request)
        image = await self._tables.read_image_of(request)
        if image is None:
            # The record is written before the state, so it has been lost: COMPLETED without an image would be
            # a lie, and NOT_FOUND too.
            raise DependencyUnavailable(f"the image's record of {request_id} is missing")
        if self._shared is not None:
            self._shared.cache(CompletedRequest(request, image))
        return self._kept(request, image)

    def _kept(self, request: ImageRequest, image: ImageRecord) -> Status:
        status = self._status(request, image)
        self._cache.keep(request.request_id, status, request.expires_at)
        return status

    def _status(self, request: ImageRequest, image: ImageRecord | None = None) -> Status:
        return Status(request, request_message(request, image, self._public_base_url))
