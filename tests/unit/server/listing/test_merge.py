"""One list out of many shards, page by page."""

import uuid
from collections.abc import Iterator, Sequence
from itertools import chain
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.dynamodb.indexes import NOTHING, IndexKey, IndexPage, TimeRange
from server.listing.merge import (
    EXHAUSTED,
    MAX_KEYS,
    MAX_SHARDS,
    AfterKey,
    Cursor,
    FromTime,
    advance_cursors,
    initial_cursors,
    keys_per_shard,
    merge_shards,
)
from server.listing.page_token import decode, encode
from server.listing.query import Kind, ListQuery

QUERY = ListQuery(Kind.REQUESTS, "acme")
Shards = list[list[IndexKey]]


def key(time: int, number: int = 0) -> IndexKey:
    return IndexKey(time, str(uuid.UUID(int=number)))


def keys_of(times: Sequence[Sequence[int]]) -> Shards:
    """Shards in the order of an index that breaks ties by id."""
    numbers = iter(range(10_000))
    return [sorted((key(t, next(numbers)) for t in shard), reverse=True) for shard in times]


def read(shard: Sequence[IndexKey], position: Cursor, limit: int) -> IndexPage:
    """What the database answers of one shard."""
    match position:
        case FromTime(time):
            rest = [each for each in shard if each.time <= time]
        case AfterKey(given_key):
            rest = list(shard[shard.index(given_key) + 1 :])
        case _:
            return NOTHING
    # As DynamoDB does: it does not look ahead, so a slice that ends at the limit seems to have more behind it.
    return IndexPage(tuple(rest[:limit]), rest[limit - 1] if len(rest) >= limit else None)


def walk(
    shards: Shards, pages: Iterator[tuple[int, int]], known: int | None = None
) -> Iterator[list[IndexKey]]:
    """Page by page, through tokens; `pages` gives the size of each page and the keys that a query reads.

    `known` is CUSTOMER_SHARDS on the first page.
    """
    token, count = "", known or len(shards)
    while True:
        size, limit = next(pages)
        positions = initial_cursors(decode(QUERY, token) if token else (), count, QUERY.key_times)
        slices = [read(shard, at, limit) for shard, at in zip(shards, positions, strict=False)]
        listed = merge_shards(slices)[:size]
        yield [each.key for each in listed]
        behind = advance_cursors(positions, slices, listed)
        assert behind != positions, "the walk does not get on"
        if all(position is EXHAUSTED for position in behind):
            return
        token, count = encode(QUERY, behind), len(shards)


@st.composite
def pages(draw: st.DrawFn) -> Iterator[tuple[int, int]]:
    random = draw(st.randoms(use_true_random=False))
    return iter(lambda: (random.randint(1, 5), random.randint(1, 4)), None)


times = st.lists(st.lists(st.integers(0, 6), max_size=12), min_size=1, max_size=5)


@given(times, pages())
def test_each_key_is_listed_once_and_in_order(
    times: list[list[int]], pages: Iterator[tuple[int, int]]
) -> None:
    """Whatever the shards hold and however large pages and slices are, equal times included."""
    shards = keys_of(times)
    listed = list(chain(*walk(shards, pages)))
    assert listed == sorted(chain(*shards), reverse=True)


@given(times, pages(), st.randoms(use_true_random=False))
def test_the_order_of_equal_times_is_the_databases(
    times: list[list[int]], pages: Iterator[tuple[int, int]], random: Random
) -> None:
    """DynamoDB does not promise that it breaks ties by id: each key is listed once all the same."""
    shards = keys_of(times)
    for shard in shards:
        random.shuffle(shard)
        shard.sort(key=lambda each: each.time, reverse=True)
    listed = list(chain(*walk(shards, pages)))
    assert sorted(listed) == sorted(chain(*shards))
    assert [each.time for each in listed] == sorted((each.time for each in listed), reverse=True)


@given(times, pages(), st.randoms(use_true_random=False))
def test_what_is_written_meanwhile_changes_nothing(
    times: list[list[int]], pages: Iterator[tuple[int, int]], random: Random
) -> None:
    """Newer keys come into any shard between two pages; the walk lists what was there, and none of them."""
    shards = keys_of(times)
    before = sorted(chain(*shards), reverse=True)
    listed: list[IndexKey] = []
    for number, page in enumerate(walk(shards, pages)):
        listed += page
        for shard in random.sample(shards, random.randint(0, len(shards))):
            shard.insert(0, key(10 + number, 20_000 + number * 10 + len(shard)))
    assert listed == before


@given(times, pages(), st.integers(1, 5))
def test_raising_the_number_of_shards_loses_nothing(
    times: list[list[int]], pages: Iterator[tuple[int, int]], known: int
) -> None:
    """Shards that the first page did not know are listed whole, and those that it knew go on."""
    shards = keys_of(times)
    first = shards[:known]
    listed = list(walk(shards, pages, len(first)))
    # With the first page the walk may be over: then nobody has asked the others yet.
    expected = shards if len(listed) > 1 else first
    assert sorted(chain(*listed)) == sorted(chain(*expected))


def test_shards_of_a_token_are_never_forgotten() -> None:
    """A server that knows fewer shards than the one before goes on with all of them, and adds those it misses."""
    positions = (AfterKey(key(5)), EXHAUSTED, FromTime(3))
    assert initial_cursors(positions, 1, TimeRange(0, 9)) == positions
    assert initial_cursors(positions, 5, TimeRange(0, 9)) == (*positions, FromTime(9), FromTime(9))
    assert initial_cursors((), 2, TimeRange(0, 9)) == (FromTime(9), FromTime(9))


def test_a_slice_without_keys_but_with_more_behind_it_ends_the_page() -> None:
    """What comes next in that shard is not known, so nothing is listed; the walk gets on all the same."""
    slices = [IndexPage((key(5, 1),), None), IndexPage((), key(7, 2))]
    positions = (FromTime(9), FromTime(9))
    assert merge_shards(slices) == []
    assert advance_cursors(positions, slices, []) == (FromTime(9), AfterKey(key(7, 2)))


@pytest.mark.parametrize(
    ("wanted", "positions", "limit"),
    [
        (50, (FromTime(1),) * 8, 50),
        (1_000, (FromTime(1),) * 8, 125),
        (1_000, (AfterKey(key(1)), *[EXHAUSTED] * 7), 1_000),
        (1_000, (FromTime(1),) * MAX_SHARDS, 1),
        (1, (EXHAUSTED,), 1),
    ],
)
def test_a_call_reads_a_bounded_number_of_keys(
    wanted: int, positions: tuple[Cursor, ...], limit: int
) -> None:
    """As many of each shard as may be needed, and of all together no more than the limit."""
    assert keys_per_shard(wanted, positions) == limit
    assert limit * sum(position is not EXHAUSTED for position in positions) <= MAX_KEYS
