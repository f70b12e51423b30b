"""Page tokens of lists."""

import base64
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.dynamodb.index_query import IndexKey, TimeRange
from core.model.request import State
from server.listing.merge import EXHAUSTED, MAX_SHARDS, AfterKey, Cursor, FromTime
from server.listing.page_token import decode, encode
from server.listing.query import LATEST, Kind, ListQuery
from server.paging import InvalidPageToken

QUERY = ListQuery(Kind.REQUESTS, "acme")
ID = "0b8f4a5e-7a59-4c39-9d0f-3c3a9b0a1f11"
CURSORS = (FromTime(1_700_000_000_000), AfterKey(IndexKey(1_600_000_000_000, ID)), EXHAUSTED)

times = st.integers(0, LATEST)
cursors = st.one_of(
    st.just(EXHAUSTED),
    times.map(FromTime),
    st.builds(lambda time, name: AfterKey(IndexKey(time, str(name))), times, st.uuids()),
)


def packed(token: str) -> bytes:
    return base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))


def text(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


@given(st.lists(cursors, min_size=1, max_size=20))
def test_cursors_round_trip_through_a_token(cursors: list[Cursor]) -> None:
    """A token decodes to the same cursors, and needs no escaping in a URL."""
    token = encode(QUERY, cursors)
    assert re.fullmatch(r"[A-Za-z0-9_-]+", token)
    assert decode(QUERY, token) == tuple(cursors)


def test_the_largest_number_of_shards_fits() -> None:
    """A server accepts the longest token that it can return; a token of 8 shards is short."""
    largest = [AfterKey(IndexKey(LATEST, ID))] * MAX_SHARDS
    assert decode(QUERY, encode(QUERY, largest)) == tuple(largest)
    assert len(encode(QUERY, largest[:8])) == 268


@pytest.mark.parametrize(
    "other",
    [
        replace(QUERY, customer_id="acme2"),
        replace(QUERY, kind=Kind.IMAGES),
        replace(QUERY, state=State.PENDING),
        replace(QUERY, created=TimeRange(1, LATEST)),
        replace(QUERY, created=TimeRange(0, LATEST - 1)),
    ],
)
def test_a_token_belongs_to_its_query(other: ListQuery) -> None:
    """A token is rejected if any field except the page size differs."""
    with pytest.raises(InvalidPageToken):
        decode(other, encode(QUERY, CURSORS))


@pytest.mark.parametrize(
    "token",
    [
        "x",
        "!" * 268,
        "ümläut",
        "A" * 10_000_000,
        encode(QUERY, CURSORS)[:-1],
        encode(QUERY, CURSORS) + "AAAA",
        encode(QUERY, CURSORS) + "\n",
        encode(QUERY, ()),
        text(b"\x02" + packed(encode(QUERY, CURSORS))[1:]),
        text(packed(encode(QUERY, CURSORS))[:17] + b"\x03" + bytes(22)),
    ],
    ids=range(10),
)
def test_invalid_tokens_are_rejected(token: str) -> None:
    """Text that no server has returned is an error of the caller."""
    with pytest.raises(InvalidPageToken):
        decode(QUERY, token)


@given(st.text(max_size=400))
def test_any_text_is_a_token_or_rejected(token: str) -> None:
    """No text raises another error."""
    with pytest.raises(InvalidPageToken):
        decode(QUERY, token)


@pytest.mark.parametrize("time", [999, 2_001])
@pytest.mark.parametrize("kind", [FromTime, lambda time: AfterKey(IndexKey(time, ID))])
def test_a_cursor_outside_the_time_range_is_rejected(time: int, kind: type[FromTime]) -> None:
    """DynamoDB would reject the start key; only a forged token contains one."""
    query = replace(QUERY, created=TimeRange(1_000, 2_000))
    assert decode(query, encode(query, [kind(1_500)])) == (kind(1_500),)
    with pytest.raises(InvalidPageToken):
        decode(query, encode(query, [kind(time)]))
