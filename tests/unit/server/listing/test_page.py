"""How a page is filled from the keys that come next."""

import uuid
from collections.abc import Iterable

from core.dynamodb.indexes import IndexKey
from imageservice.v1 import image_service_pb2 as pb
from server.listing.lister import fill_page
from server.listing.merge import MergedKey
from server.listing.query import Kind, ListQuery
from server.listing.request import ListPageRequest
from server.paging import MAX_PAGE_BYTES

GRPC_TAKES = 4 * 1024 * 1024
"""Bytes of a message that gRPC's clients take by default."""


def keys(count: int) -> list[MergedKey]:
    return [MergedKey(IndexKey(count - n, str(uuid.UUID(int=n))), 0, False) for n in range(count)]


def asked(size: int) -> ListPageRequest:
    return ListPageRequest(ListQuery(Kind.REQUESTS, "acme"), size)


class Table:
    """Holds requests under some ids, and knows what it was asked for."""

    def __init__(self, held: Iterable[MergedKey], url: str = "") -> None:
        self.held = {each.key.request_id for each in held}
        self.url = url
        self.read: list[str] = []

    async def request(self, key: IndexKey) -> pb.ImageRequest | None:
        self.read.append(key.request_id)
        if key.request_id not in self.held:
            return None
        return pb.ImageRequest(request_id=key.request_id, url=self.url)


async def test_a_page_reads_what_it_lists() -> None:
    """Where every key has its row, no row is read that is not listed."""
    listed = keys(400)
    table = Table(listed)
    page = await fill_page(asked(150), listed, table.request)
    assert [each.request_id for each in page.messages] == table.read
    assert (page.examined, len(table.read)) == (150, 150)


async def test_a_page_goes_on_until_it_is_full() -> None:
    """Rows that are not listed make way for further ones, to the end of the keys if need be."""
    listed = keys(1_000)
    table = Table(listed[::10])
    page = await fill_page(asked(50), listed, table.request)
    assert [each.request_id for each in page.messages] == [
        each.key.request_id for each in listed[:500:10]
    ]
    assert page.examined == 491
    page = await fill_page(asked(200), listed, table.request)
    assert (len(page.messages), page.examined) == (100, 1_000)


async def test_a_page_is_not_larger_than_a_client_takes() -> None:
    """It ends early, and goes on behind its last request on the next one."""
    listed = keys(1_000)
    page = await fill_page(asked(1_000), listed, Table(listed, "u" * 100_000).request)
    assert len(page.messages) == page.examined
    answer = pb.ListRequestsResponse(requests=page.messages)
    assert MAX_PAGE_BYTES <= answer.ByteSize() < GRPC_TAKES
