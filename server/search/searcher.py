"""Pages of a search: ids from the engine, then what the tables say of each."""

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import structlog

from core.dynamodb.schema import log_malformed_row
from core.dynamodb.tables import Tables
from core.errors import MalformedRow, Overloaded, SearchNotConfigured, SearchUnavailable
from core.search.engine import SearchReader
from core.search.query import Facet, SearchResult
from imageservice.v1 import image_service_pb2 as pb
from server.converters import image_message
from server.listing.lister import MAX_PAGE_BYTES
from server.search.page_token import encode
from server.search.request import Asked

# What the tables say of the images that a search has found.

log = structlog.get_logger()

_PAGES_AT_ONCE = 4
"""Of this process, so that the rows of many pages do not stand in line before those that GetStatus waits for."""


class ImageLoader:
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
        try:
            record = await self._tables.read_image_by_id(image_id)
        except MalformedRow as error:
            log_malformed_row(error)
            return None
        if record is None:
            return None
        if record.customer_id != customer_id:
            log.error("left out of a search: the index says that it is another's", id=image_id)
            return None
        return image_message(record, self._public_base_url)


_SHARES = 4


class Searches:
    """`reader` is None where there is no engine; `max_open` bounds the calls under way.

    One customer has a quarter of them at most, so that who searches most does not search alone. An engine that is down
    costs its callers nothing but an error, and nobody else anything: no other call is made here.
    """

    def __init__(self, reader: SearchReader | None, images: ImageLoader, *, max_open: int) -> None:
        self._reader = reader
        self._images = images
        self._max_open = max_open
        self._share = max(1, max_open // _SHARES)
        self._open: Counter[str] = Counter()
        self._answers = True

    async def page(self, asked: Asked) -> pb.SearchImagesResponse:
        """Raises SearchNotConfigured, SearchUnavailable, Overloaded or DependencyUnavailable."""
        if self._reader is None:
            raise SearchNotConfigured("This installation has no search engine.")
        with self._place(asked.query.customer_id):
            found = await self._found(self._reader, asked)
            ids = [hit.image_id for hit in found.hits]
            images = await self._images.read(asked.query.customer_id, ids)
        return response(asked, found, images)

    @contextmanager
    def _place(self, customer_id: str) -> Iterator[None]:
        if (open_ := self._open.total()) >= self._max_open:
            raise Overloaded(f"This server searches {open_} times already.")
        if (own := self._open[customer_id]) >= self._share:
            raise Overloaded(f"This server searches {own} times for this customer already.")
        self._open[customer_id] += 1
        try:
            yield
        finally:
            self._open[customer_id] -= 1
            if not self._open[customer_id]:
                del self._open[customer_id]

    async def _found(self, reader: SearchReader, asked: Asked) -> SearchResult:
        """In an outage a line is logged at its beginning and at its end; the metrics count the calls."""
        try:
            found = await reader.search(
                asked.query, limit=asked.page_size, after=asked.after, facets=asked.facets
            )
        except SearchUnavailable as error:
            if self._answers:
                log.warning("the search engine is unavailable", error=str(error))
            self._answers = False
            raise
        if not self._answers:
            log.info("the search engine answers again")
        self._answers = True
        return found


def response(
    asked: Asked, found: SearchResult, images: Sequence[pb.Image | None]
) -> pb.SearchImagesResponse:
    """The page; `images` are those of the hits, in their order. It ends early where it is as large as may be."""
    answer = pb.SearchImagesResponse(total=found.total, facets=map(_facet_message, found.facets))
    examined, size = 0, answer.ByteSize()
    for image in images:
        if size >= MAX_PAGE_BYTES:
            break
        examined += 1
        if image is not None:
            answer.images.append(image)
            size += image.ByteSize()
    if examined and (found.more or examined < len(images)):
        answer.next_page_token = encode(asked.query, found.hits[examined - 1])
    return answer


def _facet_message(facet: Facet) -> pb.Facet:
    return pb.Facet(
        field=facet.field,
        values=[pb.FacetValue(value=each.value, count=each.count) for each in facet.values],
    )
