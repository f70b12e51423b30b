"""What the tables say of a key that a list comes to."""

from collections.abc import Awaitable
from typing import TypeVar

import structlog

from core.image import ImageRecord
from core.indexes import IndexKey
from core.request import ImageRequest, State
from core.tables import Tables
from imageservice.v1 import image_service_pb2 as pb
from server.listing.query import ListQuery
from server.translation import image_message, request_message

log = structlog.get_logger()

R = TypeVar("R", ImageRequest, ImageRecord)


class Rows:
    """Reads are strongly consistent, and shared with all others of the process. `public_base_url` ends with a slash.

    A row that cannot be read is logged and left out: it must not end a customer's list for ever.
    """

    def __init__(self, tables: Tables, public_base_url: str) -> None:
        self._tables = tables
        self._public_base_url = public_base_url

    async def request(self, query: ListQuery, key: IndexKey) -> pb.ImageRequest | None:
        """None where the request has expired or is not asked for. Raises Overloaded or DependencyUnavailable."""
        request_id = key.request_id
        request = await _readable(request_id, self._tables.read_request(request_id))
        if request is None or not query.takes(request):
            return None
        image = None
        if request.state is State.COMPLETED:
            image = await _readable(request_id, self._tables.read_image_of(request))
            if image is None:
                # As in StatusReader: COMPLETED without an image would be a lie.
                log.error("left out of a list: the image's record is missing", id=request_id)
                return None
        return request_message(request, image, self._public_base_url)

    async def image(self, query: ListQuery, key: IndexKey) -> pb.Image | None:
        """None where the request has no image of this customer. Raises Overloaded or DependencyUnavailable.

        As a rule the index's key tells that an image is the request's own, and no row of it is read.
        """
        image = await _readable(key.request_id, self._tables.read_image(key.request_id))
        if image is not None and not image.belongs_to(query.customer_id, key.time):
            image = await _readable(key.request_id, self._reused(query, key.request_id))
        return None if image is None else image_message(image, self._public_base_url)

    async def _reused(self, query: ListQuery, request_id: str) -> ImageRecord | None:
        """The image of a request whose id an earlier one had."""
        request = await self._tables.read_request(request_id)
        # The row may be a still later request's by now, and so another customer's.
        if request is None or request.customer_id != query.customer_id:
            return None
        return await self._tables.read_image_of(request)


async def _readable(request_id: str, read: Awaitable[R | None]) -> R | None:
    try:
        return await read
    except (LookupError, TypeError, ValueError) as error:
        log.error("left out of a list: the row cannot be read", id=request_id, error=repr(error))  # noqa: TRY400  a traceback for each page would say no more
        return None
