"""Pages of requests and images: keys by an index, then what the tables say of each."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Generic, TypeVar

from core.errors import Overloaded
from core.indexes import NOTHING, IndexKey, Slice, Span
from core.request import shard_name
from core.tables import MAX_KEYS as ROWS_AT_ONCE
from core.tables import Tables
from imageservice.v1 import image_service_pb2 as pb
from server.listing.asked import Asked
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
from server.listing.rows import Rows

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


class Listings:
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
    ) -> list[Slice]:
        return await asyncio.gather(
            *(
                self._slice(query, shard_name(query.customer_id, number), position, limit)
                for number, position in enumerate(positions)
            )
        )

    async def _slice(self, query: ListQuery, shard: str, position: Position, limit: int) -> Slice:
        span, after = query.span, None
        match position:
            case From(time):
                span = Span(span.first, time)
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
