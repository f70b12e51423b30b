"""Filling a page from the merged keys."""

import uuid
from collections.abc import Iterable

from core.dynamodb.index_query import IndexKey
from imageservice.v1 import image_service_pb2 as pb
from server.listing.lister import fill_page
from server.listing.merge import MergedKey
from server.listing.query import Kind, ListQuery
from server.listing.request import ListPageRequest
from server.paging import MAX_PAGE_BYTES

GRPC_MAX_MESSAGE_BYTES = 4 * 1024 * 1024
"""The largest message in bytes that gRPC clients accept by default."""


def keys(count: int) -> list[MergedKey]:
    return [MergedKey(IndexKey(count - n, str(uuid.UUID(int=n))), 0, False) for n in range(count)]


def page_request(size: int) -> ListPageRequest:
    return ListPageRequest(ListQuery(Kind.REQUESTS, "acme"), size)


class Table:
    """Has requests for some of the ids, and records the ids that were read."""

    def __init__(self, existing: Iterable[MergedKey], url: str = "") -> None:
        self.existing = {each.key.request_id for each in existing}
        self.url = url
        self.read: list[str] = []

    async def request(self, key: IndexKey) -> pb.ImageRequest | None:
        self.read.append(key.request_id)
        if key.request_id not in self.existing:
            return None
        return pb.ImageRequest(request_id=key.request_id, url=self.url)


async def test_a_page_reads_only_listed_rows() -> None:
    """If every key has its row, no row is read that is not listed."""
    listed = keys(400)
    table = Table(listed)
    page = await fill_page(page_request(150), listed, table.request)
    assert [each.request_id for each in page.messages] == table.read
    assert (page.examined, len(table.read)) == (150, 150)


async def test_a_page_is_filled_past_rows_that_are_not_listed() -> None:
    """Rows that are not listed are replaced by further ones, up to the end of the keys."""
    listed = keys(1_000)
    table = Table(listed[::10])
    page = await fill_page(page_request(50), listed, table.request)
    assert [each.request_id for each in page.messages] == [
        each.key.request_id for each in listed[:500:10]
    ]
    assert page.examined == 491
    page = await fill_page(page_request(200), listed, table.request)
    assert (len(page.messages), page.examined) == (100, 1_000)


async def test_a_page_is_not_larger_than_a_client_takes() -> None:
    """It ends early, and the next page continues after its last request."""
    listed = keys(1_000)
    page = await fill_page(page_request(1_000), listed, Table(listed, "u" * 100_000).request)
    assert len(page.messages) == page.examined
    answer = pb.ListRequestsResponse(requests=page.messages)
    assert MAX_PAGE_BYTES <= answer.ByteSize() < GRPC_MAX_MESSAGE_BYTES
