"""Pages of a search: image ids from the search engine, then the images from the tables."""

import asyncio
from collections.abc import Sequence

import structlog

from core.dynamodb.schema import log_malformed_row
from core.dynamodb.tables import Tables
from core.errors import MalformedRow, SearchNotConfigured, SearchUnavailable
from core.model.image import is_published
from core.resilience.fair_gate import FairGate
from core.resilience.fair_share import FairShare
from core.search.engine import SearchReader
from core.search.query import Facet, SearchResult
from imageservice.v1 import image_service_pb2 as pb
from server.capacity import Capacity
from server.converters import to_image_message
from server.paging import MAX_PAGE_BYTES
from server.search.page_token import encode
from server.search.request import SearchPageRequest

_log = structlog.get_logger()

_MAX_PAGES = 4
"""Pages of this process whose rows are read at the same time, and two more for customers below their share. More would
delay the reads of GetStatus."""


class Searcher:
    """Serves SearchImages. `reader` is None without a search engine; `max_calls` is MAX_SEARCHES.

    An engine that is down affects only searches: no other call uses it.
    """

    def __init__(
        self, reader: SearchReader | None, images: "ImageLoader", *, max_calls: int
    ) -> None:
        self._reader = reader
        self._images = images
        self._capacity = Capacity("searches", max_calls)
        self._available = True

    async def search(self, request: SearchPageRequest) -> pb.SearchImagesResponse:
        """Raises SearchNotConfigured, SearchUnavailable, Overloaded or DependencyUnavailable."""
        if self._reader is None:
            raise SearchNotConfigured("This installation has no search engine.")
        customer_id = request.query.customer_id
        with self._capacity.slot(customer_id):
            found = await self._query(self._reader, request)
            images = await self._images.load(customer_id, [hit.image_id for hit in found.hits])
        return search_response(request, found, images)

    async def _query(self, reader: SearchReader, request: SearchPageRequest) -> SearchResult:
        """Query the engine. An outage is logged at its start and at its end; metrics count the calls."""
        try:
            found = await reader.search(
                request.query, limit=request.page_size, after=request.after, facets=request.facets
            )
        except SearchUnavailable as error:
            if self._available:
                _log.warning("search engine unavailable", error=str(error))
            self._available = False
            raise
        if not self._available:
            _log.info("search engine recovered")
        self._available = True
        return found


class ImageLoader:
    """Loads the images of hits. Reads are strongly consistent, and batched with all other reads of the process.

    An index may be stale, or contain documents of another installation. So only the ids of a hit are used; all data in
    an answer comes from the tables, belongs to the customer and is published (see is_published). A hit costs two read
    units, one each for the image and the row of its request, and one for the renditions if this installation has
    presets; a page makes two calls after each other.
    `public_base_url` ends with a slash.
    """

    def __init__(self, tables: Tables, public_base_url: str) -> None:
        self._tables = tables
        self._public_base_url = public_base_url
        self._pages = FairGate(FairShare(_MAX_PAGES))

    async def load(self, customer_id: str, image_ids: Sequence[str]) -> list[pb.Image | None]:
        """Return the images in the order of the ids; None for an id without an image of this customer.

        Raises Overloaded or DependencyUnavailable.
        """
        async with self._pages.slot(customer_id):
            return await asyncio.gather(*(self._load(customer_id, each) for each in image_ids))

    async def _load(self, customer_id: str, image_id: str) -> pb.Image | None:
        try:
            record, renditions = await asyncio.gather(
                self._tables.read_image_by_id(image_id), self._tables.read_renditions(image_id)
            )
            if record is None:
                return None
            if record.customer_id != customer_id:
                _log.error("image left out of search: it belongs to another customer", id=image_id)
                return None
            request = await self._tables.read_request(record.request_id)
        except MalformedRow as error:
            log_malformed_row(error)
            return None
        if not is_published(record, request):
            return None
        return to_image_message(record, self._public_base_url, renditions)


def search_response(
    request: SearchPageRequest, found: SearchResult, images: Sequence[pb.Image | None]
) -> pb.SearchImagesResponse:
    """Return the page. `images` has one entry for each hit. The page ends early if it reaches MAX_PAGE_BYTES."""
    response = pb.SearchImagesResponse(total=found.total, facets=map(_facet_message, found.facets))
    examined, size = 0, response.ByteSize()
    for image in images:
        if size >= MAX_PAGE_BYTES:
            break
        examined += 1
        if image is not None:
            response.images.append(image)
            size += image.ByteSize()
    if examined and (found.more or examined < len(images)):
        response.next_page_token = encode(request.query, found.hits[examined - 1])
    return response


def _facet_message(facet: Facet) -> pb.Facet:
    return pb.Facet(
        field=facet.field,
        values=[pb.FacetValue(value=each.value, count=each.count) for each in facet.values],
    )
