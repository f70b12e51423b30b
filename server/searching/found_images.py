"""What the tables say of the images that a search has found."""

import asyncio
from collections.abc import Awaitable, Sequence

import structlog

from core.image import ImageRecord
from core.tables import Tables
from imageservice.v1 import image_service_pb2 as pb
from server.translation import image_message

log = structlog.get_logger()

_PAGES_AT_ONCE = 4
"""Of this process, so that the rows of many pages do not stand in line before those that GetStatus waits for."""


class FoundImages:
    """Reads are strongly consistent, and shared with all others of the process. `public_base_url` ends with a slash.

    An index may be behind, or hold what another installation wrote. So it is believed where an image is to be looked
    for, and nothing else: what the customer is told is read here, and is the customer's own.
    """

    def __init__(self, tables: Tables, public_base_url: str) -> None:
        self._tables = tables
        self._public_base_url = public_base_url
        self._pages = asyncio.Semaphore(_PAGES_AT_ONCE)

    async def read(self, customer_id: str, image_ids: Sequence[str]) -> list[pb.Image | None]:
        """Each image in the order of the ids; None where there is none of this customer.

        Raises Overloaded or DependencyUnavailable.
        """
        async with self._pages:
            return await asyncio.gather(*(self._read(customer_id, each) for each in image_ids))

    async def _read(self, customer_id: str, image_id: str) -> pb.Image | None:
        record = await _readable(image_id, self._tables.read_image_by_id(image_id))
        if record is None:
            return None
        if record.customer_id != customer_id:
            log.error("left out of a search: the index says that it is another's", id=image_id)
            return None
        return image_message(record, self._public_base_url)


async def _readable(image_id: str, read: Awaitable[ImageRecord | None]) -> ImageRecord | None:
    try:
        return await read
    except (LookupError, TypeError, ValueError) as error:
        log.error("left out of a search: the row cannot be read", id=image_id, error=repr(error))  # noqa: TRY400  a traceback for each page would say no more
        return None
