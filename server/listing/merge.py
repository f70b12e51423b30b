"""K-way merge of a customer's shards into one list, with a cursor for each shard. Pure.

Each shard is sorted, newest first. The merge takes the newest head of all shards. It stops after the last key that was
read of a shard that has more keys, because the next key of that shard is not known.

If a page takes no key of a shard, the shard does not start at its top again on the next page. It continues at the time
of the last key that was examined: every key of a later time would have been examined before that key. So keys that are
written between two pages are never listed in front of keys that are listed already.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from heapq import merge
from typing import NamedTuple

from core.dynamodb.index_query import IndexKey, IndexPage, TimeRange

MAX_KEYS = 1_000
"""Index keys that one call reads at most, in all shards together."""
MAX_SHARDS = 1_000
"""The largest CUSTOMER_SHARDS. One call can still read one key of each shard."""


@dataclass(frozen=True, slots=True)
class FromTime:
    """No key was taken yet: continue with keys of this time (milliseconds since the epoch) or older."""

    time: int


@dataclass(frozen=True, slots=True)
class AfterKey:
    """Continue after this key, which was taken."""

    key: IndexKey


@dataclass(frozen=True, slots=True)
class Exhausted:
    """The shard has no more keys."""


EXHAUSTED = Exhausted()
Cursor = FromTime | AfterKey | Exhausted


class MergedKey(NamedTuple):
    """`last_known`: the keys that follow this one in its shard are not known."""

    key: IndexKey
    shard: int
    last_known: bool


def initial_cursors(
    token_cursors: Sequence[Cursor], shards: int, key_times: TimeRange
) -> tuple[Cursor, ...]:
    """Return a cursor for each shard. `token_cursors` come from the page token; the first page has none.

    A token has too few cursors if CUSTOMER_SHARDS was raised in between, or is higher on this server. The missing
    shards start at the top, so that none of their keys is lost; their newest keys are then listed out of order. A token
    with too many cursors comes from a server with more shards, and all of them continue.
    """
    missing = range(len(token_cursors), shards)
    return (*token_cursors, *(FromTime(key_times.last) for _ in missing))


def keys_per_shard(wanted: int, cursors: Sequence[Cursor]) -> int:
    """Return how many keys to read of each shard that has more, to list up to `wanted` keys."""
    unfinished = sum(cursor is not EXHAUSTED for cursor in cursors)
    return max(1, min(wanted, MAX_KEYS // max(1, unfinished)))


def merge_shards(pages: Sequence[IndexPage]) -> list[MergedKey]:
    """Return the keys that come next. `pages` has one entry for each shard, in the order of the cursors."""
    if any(not page.keys and page.resume for page in pages):
        return []
    streams = [_merged_keys(shard, page) for shard, page in enumerate(pages)]
    keys: list[MergedKey] = []
    for key in merge(*streams, reverse=True):
        keys.append(key)
        if key.last_known:
            break
    return keys


def advance_cursors(
    cursors: Sequence[Cursor], pages: Sequence[IndexPage], examined: Sequence[MergedKey]
) -> tuple[Cursor, ...]:
    """Return the cursors behind `examined`, which is a prefix of merge_shards(pages)."""
    taken = Counter(key.shard for key in examined)
    last_time = examined[-1].key.time if examined else None
    return tuple(
        _advance(cursor, pages[shard], taken[shard], last_time)
        for shard, cursor in enumerate(cursors)
    )


def _merged_keys(shard: int, page: IndexPage) -> list[MergedKey]:
    last = len(page.keys) if page.resume is None else len(page.keys) - 1
    return [MergedKey(key, shard, position >= last) for position, key in enumerate(page.keys)]


def _advance(cursor: Cursor, page: IndexPage, taken: int, last_time: int | None) -> Cursor:
    if taken == len(page.keys):
        return EXHAUSTED if page.resume is None else AfterKey(page.resume)
    if taken:
        return AfterKey(page.keys[taken - 1])
    if isinstance(cursor, FromTime) and last_time is not None:
        return FromTime(min(cursor.time, last_time))
    return cursor
