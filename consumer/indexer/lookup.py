"""Reads the documents of requests from both tables, in batched calls."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from core.dynamodb.schema import log_malformed_row
from core.dynamodb.tables import Tables
from core.errors import DependencyUnavailable, MalformedRow, RequestRejected
from core.model.image import ImageRecord, is_image_of, is_published
from core.model.request import ImageRequest
from core.search.document import SearchDocument, document_of

LookupResult = SearchDocument | MalformedRow | None
"""The document; None if there is no image to index."""


async def look_up(tables: Tables, request_ids: Sequence[str]) -> list[LookupResult]:
    """Return a result for each id, in order. Raises DependencyUnavailable or Overloaded."""
    return await asyncio.gather(*(_look_up(tables, request_id) for request_id in request_ids))


async def _look_up(tables: Tables, request_id: str) -> LookupResult:
    async def read() -> SearchDocument | None:
        return document_from(*await tables.read_image_and_request(request_id))

    return await read_or_log(read, request_id)


def document_from(
    record: ImageRecord | None, request: ImageRequest | None
) -> SearchDocument | None:
    """Return the document of an image; None if there is no image, or it is not published.

    `request` is the row with the image's request id. It may be that of a later request, which adds nothing to the
    document.
    """
    if record is None or not is_published(record, request):
        return None
    own = request if request is not None and is_image_of(record, request) else None
    return document_of(record, own)


async def read_or_log(
    read: Callable[[], Awaitable[SearchDocument | None]], request_id: str
) -> LookupResult:
    """Return what `read` returns. Log a malformed row and return its error: it must not stop the others.

    Raises DependencyUnavailable or Overloaded.
    """
    try:
        return await read()
    except RequestRejected as rejection:
        # Tables has sent this key alone by now. Keys are UUIDs, so DynamoDB would reject every key, for example because
        # the table has another key schema. No row is at fault.
        raise DependencyUnavailable(str(rejection)) from rejection
    except MalformedRow as error:
        log_malformed_row(error, request_id=request_id)
        return error
