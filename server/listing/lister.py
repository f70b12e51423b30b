"""Pages of requests and images: keys by an index, then what the tables say of each."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Generic, TypeVar

import structlog

from core.dynamodb.indexes import NOTHING, IndexKey, IndexPage, TimeRange
from core.dynamodb.schema import log_malformed_row
from core.dynamodb.tables import MAX_KEYS as ROWS_AT_ONCE
from core.dynamodb.tables import Tables
from core.errors import MalformedRow, Overloaded
from core.model.image import ImageRecord
from core.model.request import ImageRequest, State, shard_name
from imageservice.v1 import image_service_pb2 as pb
from server.converters import image_message, request_message
from server.listing.merge import (
    END,
    MAX_KEYS,
    After,
    From,
    Listed,
    Position,
    advanced,
    keys_per_shard,
    merged,
    opened,
)
from server.listing.page_token import encode
from server.listing.query import ListQuery
from server.listing.request import Asked

# What the tables say of a key that a list comes to.

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
        request = await _readable(self._tables.read_request(request_id))
        if request is None or not query.takes(request):
            return None
        image = None
        if request.state is State.COMPLETED:
            image = await _readable(self._tables.read_image_of(request))
            if image is None:
                # As in StatusReader: COMPLETED without an image would be a lie.
                log.error("left out of a list: the image's record is missing", id=request_id)
                return None
        return request_message(request, image, self._public_base_url)

    async def image(self, query: ListQuery, key: IndexKey) -> pb.Image | None:
        """None where the request has no image of this customer. Raises Overloaded or DependencyUnavailable.

        As a rule the index's key tells that an image is the request's own, and no row of it is read.
        """
        image = await _readable(self._tables.read_image(key.request_id))
        if image is not None and not image.belongs_to(query.customer_id, key.time):
            image = await _readable(self._reused(query, key.request_id))
        return None if image is None else image_message(image, self._public_base_url)

    async def _reused(self, query: ListQuery, request_id: str) -> ImageRecord | None:
        """The image of a request whose id an earlier one had."""
        request = await self._tables.read_request(request_id)
        # The row may be a still later request's by now, and so another customer's.
        if request is None or request.customer_id != query.customer_id:
            return None
        return await self._tables.read_image_of(request)


async def _readable(read: Awaitable[R | None]) -> R | None:
    try:
        return await read
    except MalformedRow as error:
        log_malformed_row(error)
        return None


M = TypeVar("M", pb.ImageRequest, pb.Image)

MAX_PAGE_BYTES = 3_000_000
"""A page that has so many ends: gRPC's clients take 4 MiB."""

_QUERIES_AT_ONCE = 16
"""Of this process, so that lists leave connections to DynamoDB to those who submit."""


@dataclass(slots=True)
class Page(Generic[M]):
    """`examined` counts the keys that were looked at, listed or not."""

    messages: list[M] = field(default_factory=list)
    size: int = 0
    examined: int = 0

    def full(self, asked: Asked) -> bool:
        return len(self.messages) >= asked.page_size or self.size >= MAX_PAGE_BYTES

    def look_at(self, message: M | None) -> None:
        self.examined += 1
        if message is not None:
            self.messages.append(message)
            self.size += message.ByteSize()


class Lister:
    """`shards` is CUSTOMER_SHARDS; `max_open` bounds the calls under way."""

    def __init__(self, tables: Tables, rows: Rows, *, shards: int, max_open: int) -> None:
        self._tables = tables
        self._rows = rows
        self._shards = shards
        self._max_open = max_open
        self._open = 0
        self._queries = asyncio.Semaphore(_QUERIES_AT_ONCE)

    async def requests(self, asked: Asked) -> pb.ListRequestsResponse:
        """Raises Overloaded or DependencyUnavailable."""
        with self._place():
            requests, token = await self._page(asked, partial(self._rows.request, asked.query))
            return pb.ListRequestsResponse(requests=requests, next_page_token=token)

    async def images(self, asked: Asked) -> pb.ListImagesResponse:
        """Raises Overloaded or DependencyUnavailable."""
        with self._place():
            images, token = await self._page(asked, partial(self._rows.image, asked.query))
            return pb.ListImagesResponse(images=images, next_page_token=token)

    @contextmanager
    def _place(self) -> Iterator[None]:
        if self._open >= self._max_open:
            raise Overloaded(f"This server reads {self._open} lists already.")
        self._open += 1
        try:
            yield
        finally:
            self._open -= 1

    async def _page(
        self, asked: Asked, read: Callable[[IndexKey], Awaitable[M | None]]
    ) -> tuple[list[M], str]:
        """What one page lists, and the token of the next."""
        query = asked.query
        positions = opened(asked.positions, self._shards, query.span)
        wanted = MAX_KEYS if query.picks else asked.page_size
        slices = await self._slices(query, positions, keys_per_shard(wanted, positions))
        listed = merged(slices)
        page = await filled(asked, listed, read)
        behind = advanced(positions, slices, listed[: page.examined])
        over = all(position is END for position in behind)
        return page.messages, "" if over else encode(query, behind)

    async def _slices(
        self, query: ListQuery, positions: Sequence[Position], limit: int
    ) -> list[IndexPage]:
        return await asyncio.gather(
            *(
                self._slice(query, shard_name(query.customer_id, number), position, limit)
                for number, position in enumerate(positions)
            )
        )

    async def _slice(
        self, query: ListQuery, shard: str, position: Position, limit: int
    ) -> IndexPage:
        span, after = query.span, None
        match position:
            case From(time):
                span = TimeRange(span.first, time)
            case After(key):
                after = key
            case _:
                return NOTHING
        if span.first > span.last:
            return NOTHING
        async with self._queries:
            return await self._tables.query(query.index, shard, span, after=after, limit=limit)


async def filled(
    asked: Asked, listed: Sequence[Listed], read: Callable[[IndexKey], Awaitable[M | None]]
) -> Page[M]:
    page: Page[M] = Page()
    while page.examined < len(listed) and not page.full(asked):
        missing = asked.page_size - len(page.messages)
        # Where much is passed over, ever more is read at once: the last row of a page may be far away.
        passed_over = page.examined - len(page.messages)
        chunk = listed[page.examined :][: min(max(missing, passed_over), ROWS_AT_ONCE)]
        for message in await asyncio.gather(*(read(each.key) for each in chunk)):
            page.look_at(message)
            if page.full(asked):
                break
    return page
