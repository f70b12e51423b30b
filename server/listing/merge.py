"""One list out of a customer's shards: which keys come next, and where each shard goes on. Pure.

Each shard is sorted, newest first. The newest of their heads is next, until a shard has given all that was read of it
and has more: what comes next in it is not known, so the page ends there.

A shard that has given nothing does not begin at its top again on the next page, but at the time of the last key that
was listed: all that it held of later times would have been listed before that key. So what is written meanwhile does
not get in front of what is listed already.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from heapq import merge
from typing import NamedTuple

from core.dynamodb.indexes import IndexKey, IndexPage, TimeRange

MAX_KEYS = 1_000
"""Index keys that one call reads at most, all shards together."""
MAX_SHARDS = 1_000
"""As many as CUSTOMER_SHARDS may be, so that each can be asked for one key."""


@dataclass(frozen=True, slots=True)
class From:
    """The shard has given nothing: it goes on with keys of this time, in milliseconds since the epoch, or older."""

    time: int


@dataclass(frozen=True, slots=True)
class After:
    """The shard goes on behind this key, which it has given."""

    key: IndexKey


@dataclass(frozen=True, slots=True)
class End:
    """The shard has no more."""


END = End()
Position = From | After | End


class Listed(NamedTuple):
    """A key that comes next, the number of its shard, and whether what follows it there is not known."""

    key: IndexKey
    shard: int
    last_known: bool


def opened(positions: Sequence[Position], shards: int, span: TimeRange) -> tuple[Position, ...]:
    """The positions of all shards. `positions` are those of the page before, none on the first page.

    Shards that it did not know begin at the top: CUSTOMER_SHARDS was raised since, or is higher where other servers
    run. So they lose nothing, at the price that their later keys are listed out of order. Shards beyond `shards` are
    those of a server that knows more, and go on.
    """
    return (*positions, *(From(span.last) for _ in range(len(positions), shards)))


def keys_per_shard(wanted: int, positions: Sequence[Position]) -> int:
    """How many keys to read of each shard that has more, to list up to `wanted`."""
    unfinished = sum(position is not END for position in positions)
    return max(1, min(wanted, MAX_KEYS // max(1, unfinished)))


def merged(slices: Sequence[IndexPage]) -> list[Listed]:
    """What comes next; `slices` are in the order of the shards."""
    if any(not each.keys and each.resume for each in slices):
        return []
    streams = [_stream(shard, each) for shard, each in enumerate(slices)]
    listed: list[Listed] = []
    for each in merge(*streams, reverse=True):
        listed.append(each)
        if each.last_known:
            break
    return listed


def advanced(
    positions: Sequence[Position], slices: Sequence[IndexPage], examined: Sequence[Listed]
) -> tuple[Position, ...]:
    """The positions behind `examined`, which is the beginning of what was merged from `slices`."""
    taken = Counter(each.shard for each in examined)
    return tuple(
        _behind(position, slices[shard], taken[shard], examined[-1].key.time if examined else None)
        for shard, position in enumerate(positions)
    )


def _stream(shard: int, read: IndexPage) -> list[Listed]:
    ends = len(read.keys) if read.resume is None else len(read.keys) - 1
    return [Listed(key, shard, at >= ends) for at, key in enumerate(read.keys)]


def _behind(position: Position, read: IndexPage, taken: int, last_time: int | None) -> Position:
    if taken == len(read.keys):
        return END if read.resume is None else After(read.resume)
    if taken:
        return After(read.keys[taken - 1])
    if isinstance(position, From) and last_time is not None:
        return From(min(position.time, last_time))
    return position
