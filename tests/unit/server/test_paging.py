"""Page tokens keep their wire format, and calls that read pages are bounded."""

import pytest

from core.dynamodb.index_query import IndexKey, TimeRange
from core.model.request import State
from core.search.query import Range, SearchQuery, Similar, SortKey, Term
from server.listing import page_token as list_token
from server.listing.merge import EXHAUSTED, AfterKey, FromTime
from server.listing.query import Kind, ListQuery
from server.paging import InvalidPageToken, PageTokenCodec
from server.search import page_token as search_token

CURSORS = (
    FromTime(1_700_000_000_000),
    AfterKey(IndexKey(1_600_000_000_000, "0b8f4a5e-7a59-4c39-9d0f-3c3a9b0a1f11")),
    EXHAUSTED,
)
HIT = SortKey(5, 1_700_000_000_000, "0b8f4a5e-7a59-5c39-9d0f-3c3a9b0a1f11")


@pytest.mark.parametrize(
    ("query", "token"),
    [
        (
            ListQuery(Kind.REQUESTS, "acme"),
            (
                "AWC-3xHtQ8tOaALpNiY8NWwBAYvP5WgAAAAAAAAAAAAAAAAAAAAAAAIBdIdugAALj0peellMOZ0PPDqbCh8RAAAAAAAAAAAAAAAA"
                "AAAAAAAAAAAAAAA"
            ),
        ),
        (
            ListQuery(Kind.IMAGES, "acme", State.FAILED, TimeRange(1, 2_000_000_000_000)),
            (
                "AQvUlDKjd-BehuKRbgMzwEcBAYvP5WgAAAAAAAAAAAAAAAAAAAAAAAIBdIdugAALj0peellMOZ0PPDqbCh8RAAAAAAAAAAAAAAAA"
                "AAAAAAAAAAAAAAA"
            ),
        ),
    ],
)
def test_list_tokens_keep_their_format(query: ListQuery, token: str) -> None:
    """A client can continue a list at a server of another version."""
    assert list_token.decode(query, token) == CURSORS
    assert list_token.encode(query, CURSORS) == token


@pytest.mark.parametrize(
    ("query", "token"),
    [
        (
            SearchQuery("acme", formats=("PNG",), similar=Similar("0123456789abcdef", 6)),
            "AZQaSgkxV0FNw_UOSDaYNrYFAYvP5WgAC49KXnpZXDmdDzw6mwofEQ",
        ),
        (
            SearchQuery(
                "acme",
                words=(Term("cat"), Term("sun", prefix=True)),
                formats=("PNG",),
                colors=("RED",),
                cameras=("Maker Model",),
                origin_hosts=("a.example",),
                labels=(("k", "v"),),
                width=Range(1, None),
                height=Range(None, 2),
                bytes=Range(3, 4),
                created=Range(5, 6),
                similar=Similar("0123456789abcdef", 6),
            ),
            "AZLXKtDu2ypKqMWN8TgAi4AFAYvP5WgAC49KXnpZXDmdDzw6mwofEQ",
        ),
    ],
)
def test_search_tokens_keep_their_format(query: SearchQuery, token: str) -> None:
    """The digest covers the names of the query's fields, so renaming a field would invalidate tokens."""
    assert search_token.decode(query, token) == HIT
    assert search_token.encode(query, HIT) == token


def test_a_token_has_a_bounded_number_of_records() -> None:
    """At least one, and no more than the codec allows."""
    records = [(1, bytes(6), bytes(16))] * 3
    digest = bytes(16)
    codec = PageTokenCodec(3)
    assert codec.decode(digest, codec.encode(digest, records)) == records
    for count in (0, 4):
        with pytest.raises(InvalidPageToken):
            codec.decode(digest, codec.encode(digest, [records[0]] * count))
