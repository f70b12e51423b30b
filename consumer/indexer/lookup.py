"""From request ids to what is to be indexed, read from both tables in calls that many share."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from core.dynamodb.schema import log_malformed_row
from core.dynamodb.tables import Tables
from core.errors import DependencyUnavailable, MalformedRow, RequestRejected
from core.model.image import ImageRecord, is_image_of
from core.model.request import ImageRequest, State
from core.search.document import SearchDocument, document_of

LookupResult = SearchDocument | MalformedRow | None
"""A document; None where there is no image to be found."""


async def look_up(tables: Tables, request_ids: Sequence[str]) -> list[LookupResult]:
    """One for each id, in order. Raises DependencyUnavailable or Overloaded."""
    return await asyncio.gather(*(_look_up(tables, request_id) for request_id in request_ids))


async def _look_up(tables: Tables, request_id: str) -> LookupResult:
    async def read() -> SearchDocument | None:
        record, request = await asyncio.gather(
            tables.read_image(request_id), tables.read_request(request_id)
        )
        if request is not None and request.image_id not in {None, record and record.image_id}:
            record = await tables.read_image_of(request)
        return document_from(record, request)

    return await readable(read, request_id)


def document_from(
    record: ImageRecord | None, request: ImageRequest | None
) -> SearchDocument | None:
    """None where there is nothing to be found: no image, or one whose request has not come to its end.

    A request without a row had ended, or its row would not have expired. One that FAILED after its image was recorded,
    which only reconcile brings about, cannot be told from the others then. Where the row is a later request's, which
    has the same id, the image's own request has none.
    """
    if record is None:
        return None
    own = request if request is not None and is_image_of(record, request) else None
    if own is not None and own.state is not State.COMPLETED:
        return None
    return document_of(record, own)


async def readable(
    read: Callable[[], Awaitable[SearchDocument | None]], request_id: str
) -> LookupResult:
    """One row that is none of ours must not keep the others from the index.

    Raises DependencyUnavailable or Overloaded.
    """
    try:
        return await read()
    except RequestRejected as rejection:
        # Tables has sent this key alone by then. Keys are UUIDs, so what is refused of one is refused of all, as by a
        # table with other keys: no row is to blame.
        raise DependencyUnavailable(str(rejection)) from rejection
    except MalformedRow as error:
        log_malformed_row(error, request_id=request_id)
        return error
