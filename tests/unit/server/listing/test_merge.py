"""Merging the shards of a customer into one list, page by page."""

import uuid
from collections.abc import Iterator, Sequence
from itertools import chain
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.dynamodb.index_query import EMPTY_PAGE, IndexKey, IndexPage, TimeRange
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
    """Return shards in the order of an index that breaks ties by id."""
    numbers = iter(range(10_000))
    return [sorted((key(t, next(numbers)) for t in shard), reverse=True) for shard in times]


def read(shard: Sequence[IndexKey], cursor: Cursor, limit: int) -> IndexPage:
    """Return the answer of the database to a query of one shard."""
    match cursor:
        case FromTime(time):
            rest = [each for each in shard if each.time <= time]
        case AfterKey(given_key):
            rest = list(shard[shard.index(given_key) + 1 :])
        case _:
            return EMPTY_PAGE
    # DynamoDB does not look ahead either: a page that ends at the limit seems to have more keys behind it.
    return IndexPage(tuple(rest[:limit]), rest[limit - 1] if len(rest) >= limit else None)


def read_pages(
    shards: Shards, pages: Iterator[tuple[int, int]], known: int | None = None
) -> Iterator[list[IndexKey]]:
    """Yield page by page, through tokens. `pages` yields the size of each page and the limit of a query.

    `known` is CUSTOMER_SHARDS on the first page.
    """
    token, count = "", known or len(shards)
    while True:
        size, limit = next(pages)
        cursors = initial_cursors(decode(QUERY, token) if token else (), count, QUERY.key_times)
        index_pages = [read(shard, at, limit) for shard, at in zip(shards, cursors, strict=False)]
        listed = merge_shards(index_pages)[:size]
        yield [each.key for each in listed]
        advanced = advance_cursors(cursors, index_pages, listed)
        assert advanced != cursors, "the cursors do not advance"
        if all(cursor is EXHAUSTED for cursor in advanced):
            return
        token, count = encode(QUERY, advanced), len(shards)


@st.composite
def pages(draw: st.DrawFn) -> Iterator[tuple[int, int]]:
    random = draw(st.randoms(use_true_random=False))
    return iter(lambda: (random.randint(1, 5), random.randint(1, 4)), None)


times = st.lists(st.lists(st.integers(0, 6), max_size=12), min_size=1, max_size=5)


@given(times, pages())
def test_each_key_is_listed_once_and_in_order(
    times: list[list[int]], pages: Iterator[tuple[int, int]]
) -> None:
    """For all shards, page sizes and query limits, also with equal times."""
    shards = keys_of(times)
    listed = list(chain(*read_pages(shards, pages)))
    assert listed == sorted(chain(*shards), reverse=True)


@given(times, pages(), st.randoms(use_true_random=False))
def test_the_database_defines_the_order_of_equal_times(
    times: list[list[int]], pages: Iterator[tuple[int, int]], random: Random
) -> None:
    """DynamoDB does not guarantee that it breaks ties by id; still, each key is listed once."""
    shards = keys_of(times)
    for shard in shards:
        random.shuffle(shard)
        shard.sort(key=lambda each: each.time, reverse=True)
    listed = list(chain(*read_pages(shards, pages)))
    assert sorted(listed) == sorted(chain(*shards))
    assert [each.time for each in listed] == sorted((each.time for each in listed), reverse=True)


@given(times, pages(), st.randoms(use_true_random=False))
def test_keys_written_between_pages_are_not_listed(
    times: list[list[int]], pages: Iterator[tuple[int, int]], random: Random
) -> None:
    """If newer keys are added to any shard between two pages, the list contains only the earlier ones."""
    shards = keys_of(times)
    before = sorted(chain(*shards), reverse=True)
    listed: list[IndexKey] = []
    for number, page in enumerate(read_pages(shards, pages)):
        listed += page
        for shard in random.sample(shards, random.randint(0, len(shards))):
            shard.insert(0, key(10 + number, 20_000 + number * 10 + len(shard)))
    assert listed == before


@given(times, pages(), st.integers(1, 5))
def test_raising_the_number_of_shards_loses_no_key(
    times: list[list[int]], pages: Iterator[tuple[int, int]], known: int
) -> None:
    """Shards that the first page did not have are listed completely, and the others continue."""
    shards = keys_of(times)
    first = shards[:known]
    listed = list(read_pages(shards, pages, len(first)))
    # If the list ends with the first page, the other shards were never queried.
    expected = shards if len(listed) > 1 else first
    assert sorted(chain(*listed)) == sorted(chain(*expected))


def test_all_shards_of_a_token_continue() -> None:
    """A server with fewer shards continues with all shards of the token; one with more adds the missing ones."""
    cursors = (AfterKey(key(5)), EXHAUSTED, FromTime(3))
    assert initial_cursors(cursors, 1, TimeRange(0, 9)) == cursors
    assert initial_cursors(cursors, 5, TimeRange(0, 9)) == (*cursors, FromTime(9), FromTime(9))
    assert initial_cursors((), 2, TimeRange(0, 9)) == (FromTime(9), FromTime(9))


def test_an_index_page_without_keys_but_with_more_ends_the_page() -> None:
    """The next key of that shard is not known, so nothing is listed; the cursors still advance."""
    index_pages = [IndexPage((key(5, 1),), None), IndexPage((), key(7, 2))]
    cursors = (FromTime(9), FromTime(9))
    assert merge_shards(index_pages) == []
    assert advance_cursors(cursors, index_pages, []) == (FromTime(9), AfterKey(key(7, 2)))


@pytest.mark.parametrize(
    ("wanted", "cursors", "limit"),
    [
        (50, (FromTime(1),) * 8, 50),
        (1_000, (FromTime(1),) * 8, 125),
        (1_000, (AfterKey(key(1)), *[EXHAUSTED] * 7), 1_000),
        (1_000, (FromTime(1),) * MAX_SHARDS, 1),
        (1, (EXHAUSTED,), 1),
    ],
)
def test_a_call_reads_a_bounded_number_of_keys(
    wanted: int, cursors: tuple[Cursor, ...], limit: int
) -> None:
    """As many of each shard as may be needed, and in total no more than the limit."""
    assert keys_per_shard(wanted, cursors) == limit
    assert limit * sum(cursor is not EXHAUSTED for cursor in cursors) <= MAX_KEYS
