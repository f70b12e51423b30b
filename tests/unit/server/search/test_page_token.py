"""Page tokens of searches."""

import base64
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.search.query import Range, SearchQuery, Similar, SortKey, Term
from server.paging import InvalidPageToken
from server.search.page_token import decode, encode

ID = "0b8f4a5e-7a59-5c39-9d0f-3c3a9b0a1f11"
HASH = "0123456789abcdef"
QUERY = SearchQuery("acme", formats=("PNG",))
SIMILAR = replace(QUERY, similar=Similar(HASH, 6))
HIT = SortKey(0, 1_700_000_000_000, ID)
TOKEN = encode(QUERY, HIT)

hits = st.builds(
    lambda distance, time, name: SortKey(distance, time, str(name)),
    st.integers(0, 6),
    st.integers(0, 2**48 - 1),
    st.uuids(),
)


def packed(token: str) -> bytes:
    return base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))


def text(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


@given(hits)
def test_a_hit_round_trips_through_a_token(hit: SortKey) -> None:
    """A token decodes to the same hit, needs no escaping in a URL, and always has the same length."""
    token = encode(SIMILAR, hit)
    assert re.fullmatch(r"[A-Za-z0-9_-]{54}", token)
    assert decode(SIMILAR, token) == hit


@pytest.mark.parametrize(
    "other",
    [
        replace(QUERY, customer_id="acme2"),
        replace(QUERY, words=(Term("a"),)),
        replace(QUERY, words=(Term("a", prefix=True),)),
        replace(QUERY, formats=()),
        replace(QUERY, formats=("GIF", "PNG")),
        replace(QUERY, formats=(), colors=("PNG",)),
        replace(QUERY, cameras=("c",)),
        replace(QUERY, origin_hosts=("h",)),
        replace(QUERY, labels=(("k", "v"),)),
        replace(QUERY, width=Range(0, None)),
        replace(QUERY, width=Range(None, 0)),
        replace(QUERY, height=Range(0, None)),
        replace(QUERY, bytes=Range(0, None)),
        replace(QUERY, created=Range(0, None)),
        SIMILAR,
    ],
    ids=range(15),
)
def test_a_token_belongs_to_its_query(other: SearchQuery) -> None:
    """A token is rejected for another customer or condition, and accepted for an equal query."""
    assert decode(replace(QUERY), TOKEN) == HIT
    with pytest.raises(InvalidPageToken):
        decode(other, TOKEN)


def test_a_similarity_token_belongs_to_its_hash() -> None:
    """And to the requested distance."""
    token = encode(SIMILAR, replace(HIT, distance=6))
    for similar in (Similar(HASH, 7), Similar(HASH, 5), Similar(HASH[::-1], 6)):
        with pytest.raises(InvalidPageToken):
            decode(replace(QUERY, similar=similar), token)


@pytest.mark.parametrize("query", [QUERY, SIMILAR])
def test_a_distance_that_no_hit_has_is_rejected(query: SearchQuery) -> None:
    """Only a forged token contains one."""
    with pytest.raises(InvalidPageToken):
        decode(query, encode(query, replace(HIT, distance=7)))


@pytest.mark.parametrize(
    "token",
    [
        "x",
        "!" * 54,
        "ümläut" * 9,
        "A" * 10_000_000,
        "A" * 54,
        "A" * 52 + "==",
        "A" * 53 + "=",
        TOKEN[:-1],
        TOKEN + "A",
        TOKEN + "\n",
        TOKEN[:-1] + "\n",
        text(b"\x02" + packed(TOKEN)[1:]),
    ],
    ids=range(12),
)
def test_invalid_tokens_are_rejected(token: str) -> None:
    """Text that no server has returned is an error of the caller."""
    with pytest.raises(InvalidPageToken):
        decode(QUERY, token)


@given(st.text(max_size=80) | st.text("ABCabc-_", min_size=54, max_size=54))
def test_any_text_is_a_token_or_rejected(token: str) -> None:
    """No text raises another error."""
    with pytest.raises(InvalidPageToken):
        decode(QUERY, token)
