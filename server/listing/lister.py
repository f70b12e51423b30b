"""Pages of requests and images: keys from an index, then the rows from the tables."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Generic, TypeVar

import structlog

from core.dynamodb.index_query import EMPTY_PAGE, IndexKey, IndexPage, TimeRange
from core.dynamodb.schema import log_malformed_row
from core.dynamodb.tables import MAX_KEYS as MAX_ROWS_PER_READ
from core.dynamodb.tables import Tables
from core.errors import MalformedRow
from core.model.image import ImageRecord, image_id_of, is_image_of, is_published
from core.model.rendition import Rendition
from core.model.request import ImageRequest, State, shard_name
from core.resilience.fair_gate import FairGate
from core.resilience.fair_share import FairShare
from imageservice.v1 import image_service_pb2 as pb
from server.capacity import Capacity
from server.converters import to_image_message, to_request_message
from server.listing.merge import (
    EXHAUSTED,
    MAX_KEYS,
    AfterKey,
    Cursor,
    FromTime,
    MergedKey,
    advance_cursors,
    initial_cursors,
    keys_per_shard,
    merge_shards,
)
from server.listing.page_token import encode
from server.listing.query import ListQuery
from server.listing.request import ListPageRequest
from server.paging import MAX_PAGE_BYTES

_log = structlog.get_logger()

M = TypeVar("M", pb.ImageRequest, pb.Image)
R = TypeVar("R", ImageRequest, ImageRecord, tuple[Rendition, ...])

_MAX_QUERIES = 16
"""Index queries of this process at the same time, and two more for customers below their share. This leaves connections
to DynamoDB for submits."""

_MAX_PAGES = 8
"""Pages of this process that are filled at the same time, and two more for customers below their share. More would fill
the queue of reads, of which each page needs up to 100 rows at once; then other calls would be rejected."""


class Lister:
    """Serves ListRequests and ListImages. `shards` is CUSTOMER_SHARDS, `max_calls` is MAX_LISTINGS."""

    def __init__(self, tables: Tables, rows: "RowLoader", *, shards: int, max_calls: int) -> None:
        self._tables = tables
        self._rows = rows
        self._shards = shards
        self._capacity = Capacity("lists", max_calls)
        self._pages = FairGate(FairShare(_MAX_PAGES))
        self._queries = FairGate(FairShare(_MAX_QUERIES))

    async def list_requests(self, request: ListPageRequest) -> pb.ListRequestsResponse:
        """Raises Overloaded or DependencyUnavailable."""
        load = partial(self._rows.load_request, request.query)
        requests, token = await self._read_page(request, load)
        return pb.ListRequestsResponse(requests=requests, next_page_token=token)

    async def list_images(self, request: ListPageRequest) -> pb.ListImagesResponse:
        """Raises Overloaded or DependencyUnavailable."""
        load = partial(self._rows.load_image, request.query)
        images, token = await self._read_page(request, load)
        return pb.ListImagesResponse(images=images, next_page_token=token)

    async def _read_page(
        self, request: ListPageRequest, load: Callable[[IndexKey], Awaitable[M | None]]
    ) -> tuple[list[M], str]:
        """Return the messages of the page and the token of the next page."""
        query = request.query
        with self._capacity.slot(query.customer_id):
            cursors = initial_cursors(request.cursors, self._shards, query.key_times)
            wanted = MAX_KEYS if query.filters_rows else request.page_size
            pages = await self._query_shards(query, cursors, keys_per_shard(wanted, cursors))
            keys = merge_shards(pages)
            async with self._pages.slot(query.customer_id):
                page = await fill_page(request, keys, load)
        cursors = advance_cursors(cursors, pages, keys[: page.examined])
        at_end = all(cursor is EXHAUSTED for cursor in cursors)
        return page.messages, "" if at_end else encode(query, cursors)

    async def _query_shards(
        self, query: ListQuery, cursors: Sequence[Cursor], limit: int
    ) -> list[IndexPage]:
        return await asyncio.gather(
            *(
                self._query_shard(query, shard_name(query.customer_id, number), cursor, limit)
                for number, cursor in enumerate(cursors)
            )
        )

    async def _query_shard(
        self, query: ListQuery, shard: str, cursor: Cursor, limit: int
    ) -> IndexPage:
        times, after = query.key_times, None
        match cursor:
            case FromTime(time):
                times = TimeRange(times.first, time)
            case AfterKey(key):
                after = key
            case _:
                return EMPTY_PAGE
        if times.first > times.last:
            return EMPTY_PAGE
        async with self._queries.slot(query.customer_id):
            return await self._tables.query(query.index, shard, times, after=after, limit=limit)


class RowLoader:
    """Loads the row of an index key. Reads are strongly consistent, and batched with all other reads of the process.

    A row that cannot be parsed is logged and left out, so that it does not make a customer's list fail for ever.
    `public_base_url` ends with a slash.
    """

    def __init__(self, tables: Tables, public_base_url: str) -> None:
        self._tables = tables
        self._public_base_url = public_base_url

    async def load_request(self, query: ListQuery, key: IndexKey) -> pb.ImageRequest | None:
        """Return None if the request has expired or does not match. Raises Overloaded or DependencyUnavailable."""
        request_id = key.request_id
        request = await _readable(self._tables.read_request(request_id))
        if request is None or not query.matches(request):
            return None
        if request.state is not State.COMPLETED:
            return to_request_message(request, None, self._public_base_url)
        image, renditions = await asyncio.gather(
            _readable(self._tables.read_image_of(request)), self._renditions(request.image_id)
        )
        if image is None:
            # As in StatusReader: a COMPLETED request without an image would be wrong.
            _log.error("row left out of list: image record missing", id=request_id)
            return None
        return to_request_message(request, image, self._public_base_url, renditions)

    async def load_image(self, query: ListQuery, key: IndexKey) -> pb.Image | None:
        """Return None if the request has no published image. Raises Overloaded or DependencyUnavailable.

        A key costs two read units, one each for the image and the row, and one for the renditions if this installation
        has presets. All are read in one call, at least 33 keys in a call.
        """
        image, renditions = await asyncio.gather(
            _readable(self._read_image(query, key)), self._renditions(image_id_of(key.request_id))
        )
        if image is None:
            return None
        if image.image_id != image_id_of(key.request_id):
            renditions = await self._renditions(image.image_id)
        return to_image_message(image, self._public_base_url, renditions)

    async def _renditions(self, image_id: str | None) -> tuple[Rendition, ...]:
        return () if image_id is None else await self._tables.read_renditions(image_id)

    async def _read_image(self, query: ListQuery, key: IndexKey) -> ImageRecord | None:
        image, request = await self._tables.read_image_and_request(key.request_id)
        if image is None or not is_published(image, request):
            return None
        if request is not None and request.customer_id == query.customer_id:
            return image if is_image_of(image, request) else None
        # The row has expired since the index was read. By now, another customer's request may have the id.
        return image if image.belongs_to(query.customer_id, key.time) else None


async def _readable(read: Awaitable[R | None]) -> R | None:
    try:
        return await read
    except MalformedRow as error:
        log_malformed_row(error)
        return None


@dataclass(slots=True)
class Page(Generic[M]):
    """`examined` counts the keys whose rows were read, listed or not. `size` is in bytes."""

    messages: list[M] = field(default_factory=list)
    size: int = 0
    examined: int = 0

    def is_full(self, request: ListPageRequest) -> bool:
        return len(self.messages) >= request.page_size or self.size >= MAX_PAGE_BYTES

    def add(self, message: M | None) -> None:
        self.examined += 1
        if message is not None:
            self.messages.append(message)
            self.size += message.ByteSize()


async def fill_page(
    request: ListPageRequest,
    keys: Sequence[MergedKey],
    load: Callable[[IndexKey], Awaitable[M | None]],
) -> Page[M]:
    page: Page[M] = Page()
    while page.examined < len(keys) and not page.is_full(request):
        missing = request.page_size - len(page.messages)
        # The more rows are skipped, the more are read at once: the last row of the page may be far away.
        skipped = page.examined - len(page.messages)
        chunk = keys[page.examined :][: min(max(missing, skipped), MAX_ROWS_PER_READ)]
        for message in await asyncio.gather(*(load(each.key) for each in chunk)):
            page.add(message)
            if page.is_full(request):
                break
    return page
