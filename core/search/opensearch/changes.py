"""Reads the changes of an index between two checkpoints, page by page.

Each shard numbers its operations. All copies have the operations up to the shard's global checkpoint. So the
checkpoints of all shards are a point in time that needs no clock.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from opensearchpy import AsyncOpenSearch

from core.search.opensearch.bulk import BulkItem
from core.search.opensearch.client import OpenSearchClient
from core.search.opensearch.errors import reading_answer

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

    async def read(opensearch: AsyncOpenSearch) -> Checkpoints:
        answer = await opensearch.indices.stats(
            index=",".join(indexes), metric="docs", params={"level": "shards"}
        )
        with reading_answer():
            return dict(_checkpoints(answer["indices"]))

    return await client.call("rebuild", read) if indexes else {}


def _checkpoints(stats: Mapping[str, Any]) -> list[tuple[Shard, int]]:
    return [
        (Shard(index, number), int(copy["seq_no"]["global_checkpoint"]))
        for index, each in stats.items()
        for number, copies in each["shards"].items()
        for copy in copies
        if copy["routing"]["primary"]
    ]


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
            yield [
                BulkItem(hit["_id"], hit["_version"], orjson.dumps(hit["_source"])) for hit in page
            ]
            (after,) = page[-1]["sort"]


async def _page(client: OpenSearchClient, shard: Shard, after: int) -> list[Mapping[str, Any]]:
    body: dict[str, Any] = {
        "query": {"range": {"_seq_no": {"gt": after}}},
        "sort": [{"_seq_no": "asc"}],
        "size": PAGE_SIZE,
        "track_total_hits": False,
        "version": True,
    }

    async def search(opensearch: AsyncOpenSearch) -> list[Mapping[str, Any]]:
        answer = await opensearch.search(
            body=body,
            index=shard.index,
            params={
                "allow_partial_search_results": "false",
                "preference": f"_shards:{shard.number}",
            },
        )
        with reading_answer():
            hits: list[Mapping[str, Any]] = answer["hits"]["hits"]
            return hits

    return await client.call("rebuild", search)
