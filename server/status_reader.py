"""Reading what became of a request."""

from dataclasses import dataclass

from core.errors import DependencyUnavailable, RequestNotFound
from core.request import ImageRequest, State
from core.tables import Tables
from imageservice.v1 import image_service_pb2 as pb
from server.completed_cache import CompletedCache
from server.metrics import STATUS_READS
from server.translation import request_message


@dataclass(frozen=True, slots=True)
class Status:
    """A request as it was read. `message` is built once, however many streams it goes to."""

    request: ImageRequest
    message: pb.ImageRequest


class StatusReader:
    """`public_base_url` ends with a slash. `cache` is for this reader alone."""

    def __init__(self, tables: Tables, public_base_url: str, cache: CompletedCache[Status]) -> None:
        self._tables = tables
        self._public_base_url = public_base_url
        self._cache = cache
        self._remembered = STATUS_READS.labels("memory")
        self._read_anew = STATUS_READS.labels("tables")

    async def read(self, request_id: str) -> Status:
        """Strongly consistent. Raises RequestNotFound, Overloaded or DependencyUnavailable."""
        kept = self._cache.get(request_id)
        if kept is not None:
            self._remembered.inc()
            return kept
        self._read_anew.inc()
        status = await self._read(request_id)
        if status.request.state is State.COMPLETED:
            self._cache.keep(request_id, status, status.request.expires_at)
        return status

    async def _read(self, request_id: str) -> Status:
        request = await self._tables.read_request(request_id)
        if request is None:
            raise RequestNotFound(f"There is no request {request_id}.")
        image = None
        if request.state is State.COMPLETED:
            image = await self._tables.read_image(request_id)
            if image is None:
                # The record is written before the state, so it has been lost: COMPLETED without an image would be
                # a lie, and NOT_FOUND too.
                raise DependencyUnavailable(f"the image's record of {request_id} is missing")
        return Status(request, request_message(request, image, self._public_base_url))
