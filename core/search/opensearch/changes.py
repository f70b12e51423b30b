"""Reads the changes of an index between two checkpoints, page by page.

Each shard numbers its operations. All copies have the operations up to the shard's global checkpoint. So the
checkpoints of all shards are a point in time that needs no clock.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import orjson

from core.answers import MalformedAnswer, member
from core.search.opensearch.bulk import BulkItem
from core.search.opensearch.client import OpenSearchClient

PAGE_SIZE = 1_000
_EMPTY_SHARD = -1
"""The checkpoint of a shard without operations."""


@dataclass(frozen=True, slots=True)
class Shard:
    index: str
    number: str


Checkpoints = Mapping[Shard, int]


async def read_checkpoints(client: OpenSearchClient, indexes: Sequence[str]) -> Checkpoints:
    """Return the current global checkpoint of every primary shard. Raises SearchUnavailable."""
    if not indexes:
        return {}
    return await client.call(
        "rebuild",
        lambda opensearch: opensearch.indices.stats(
            index=",".join(indexes), metric="docs", params={"level": "shards"}
        ),
        partial(_decode_checkpoints, indexes),
    )


def _decode_checkpoints(indexes: Sequence[str], answer: Mapping[str, Any]) -> Checkpoints:
    checkpoints = {
        Shard(index, number): member(copy["seq_no"], "global_checkpoint", int)
        for index, stats in member(answer, "indices", dict).items()
        for number, copies in stats["shards"].items()
        for copy in copies
        if member(copy["routing"], "primary", bool)
    }
    if {shard.index for shard in checkpoints} != set(indexes):
        raise MalformedAnswer("not the shards of the indexes that were asked for")
    return checkpoints


async def changes_since(
    client: OpenSearchClient, since: Checkpoints, now: Checkpoints
) -> AsyncIterator[list[BulkItem]]:
    """Yield pages of documents that changed in the shards of `now`; shards that are not in `since` are read whole.

    Only refreshed documents are found. A document that is written again meanwhile comes again.
    Raises SearchUnavailable.
    """
    for shard in now:
        after = since.get(shard, _EMPTY_SHARD)
        while page := await _page(client, shard, after):
            yield [change.item for change in page]
            after = page[-1].number


@dataclass(frozen=True, slots=True)
class _Change:
    """The last operation on a document, and its number in the shard."""

    item: BulkItem
    number: int


async def _page(client: OpenSearchClient, shard: Shard, after: int) -> list[_Change]:
    body: dict[str, Any] = {
        "query": {"range": {"_seq_no": {"gt": after}}},
        "sort": [{"_seq_no": "asc"}],
        "size": PAGE_SIZE,
        "track_total_hits": False,
        "version": True,
    }
    params = {
        "allow_partial_search_results": "false",
        "preference": f"_shards:{shard.number}",
    }
    return await client.call(
        "rebuild",
        lambda opensearch: opensearch.search(body=body, index=shard.index, params=params),
        _decode_changes,
    )


def _decode_changes(answer: Mapping[str, Any]) -> list[_Change]:
    return [_change(hit) for hit in member(answer["hits"], "hits", list)]


def _change(hit: Mapping[str, Any]) -> _Change:
    source = orjson.dumps(member(hit, "_source", dict))
    (number,) = member(hit, "sort", list)
    if type(number) is not int:
        raise MalformedAnswer(f"the sort value {number}")
    return _Change(BulkItem(member(hit, "_id", str), member(hit, "_version", int), source), number)
