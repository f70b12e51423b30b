"""What was written to an index since a moment, page by page.

A shard numbers what is written to it. Up to its global checkpoint everything has been done, on every copy; so that is a
moment, and no clock is asked.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from opensearchpy import AsyncOpenSearch

from core.search.opensearch.bulk import Entry
from core.search.opensearch.client import Link
from core.search.opensearch.query_dsl import MalformedAnswer

PAGE = 1_000
_NOTHING = -1
"""The checkpoint of a shard to which nothing was written."""


@dataclass(frozen=True, slots=True)
class Shard:
    index: str
    number: str


Moment = Mapping[Shard, int]
"""Checkpoints."""


async def moment(link: Link, indexes: Sequence[str]) -> Moment:
    """Now. Raises SearchUnavailable."""

    async def ask(client: AsyncOpenSearch) -> Moment:
        told = await client.indices.stats(
            index=",".join(indexes), metric="docs", params={"level": "shards"}
        )
        try:
            return dict(_checkpoints(told["indices"]))
        except (LookupError, TypeError) as error:
            raise MalformedAnswer(f"{type(error).__name__}: {error}") from error

    return await link.call("rebuild", ask) if indexes else {}


def _checkpoints(told: Mapping[str, Any]) -> list[tuple[Shard, int]]:
    return [
        (Shard(index, number), int(copy["seq_no"]["global_checkpoint"]))
        for index, each in told.items()
        for number, copies in each["shards"].items()
        for copy in copies
        if copy["routing"]["primary"]
    ]


async def written_since(link: Link, since: Moment, now: Moment) -> AsyncIterator[list[Entry]]:
    """Documents as they are by now, in the shards of `now`; those that `since` does not know are read as a whole.

    Only what was refreshed is found. One that is written again meanwhile comes again. Raises SearchUnavailable.
    """
    for shard in now:
        after = since.get(shard, _NOTHING)
        while page := await _page(link, shard, after):
            yield [Entry(hit["_id"], hit["_version"], orjson.dumps(hit["_source"])) for hit in page]
            (after,) = page[-1]["sort"]


async def _page(link: Link, shard: Shard, after: int) -> list[Mapping[str, Any]]:
    asked: dict[str, Any] = {
        "query": {"range": {"_seq_no": {"gt": after}}},
        "sort": [{"_seq_no": "asc"}],
        "size": PAGE,
        "track_total_hits": False,
        "version": True,
    }

    async def search(client: AsyncOpenSearch) -> list[Mapping[str, Any]]:
        answer = await client.search(
            body=asked,
            index=shard.index,
            params={
                "allow_partial_search_results": "false",
                "preference": f"_shards:{shard.number}",
            },
        )
        try:
            hits: list[Mapping[str, Any]] = answer["hits"]["hits"]
        except (LookupError, TypeError) as error:
            raise MalformedAnswer(str(error)) from error
        return hits

    return await link.call("rebuild", search)
