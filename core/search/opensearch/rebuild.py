"""A new index beside the one that is read, and the moment at which it takes its place.

While it is built, writers write to the old one. At the end, what they wrote since the beginning is copied, the alias is
moved, and the old index is closed to writes, which waits for those that are under way; then the rest is copied. A write
that came too late for the old index is refused as unavailable and so comes again, to the new one. What is copied twice
does no harm: versions tell.

A rebuild that is killed leaves its index behind. Nobody can tell it from one that is still being built, so it stays
until a later rebuild has succeeded, which removes every index of this alias but its own. Of two that run at once the
first to end therefore ends the other, which fails at its next write: it writes through an alias of its own, which went
with its index.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import structlog
from opensearchpy import AsyncOpenSearch

from core.errors import SearchUnavailable
from core.search.document import SearchDocument
from core.search.engine import Outcome, Written
from core.search.opensearch.bulk import Entry, entry, put
from core.search.opensearch.copying import Moment, moment, written_since
from core.search.opensearch.link import Link, SearchRefused
from core.search.opensearch.schema import BUILDING, BUILT, index_name, pattern

STEP_S = 120.0
"""The longest that one step of the end may take: making millions of documents searchable is one."""
_PAUSES_S = (0.5, 1.0, 2.0, 4.0, 8.0)
"""Before a document is copied again that was not taken."""
_LOOK_S = 0.25
"""Between two looks whether the old index is still read."""

R = TypeVar("R")
_log = structlog.get_logger()


class OpenSearchRebuild:
    """`search_seconds` is the longest that readers wait for an answer."""

    def __init__(self, link: Link, alias: str, *, search_seconds: float) -> None:
        self._link = link
        self._alias = alias
        self._began: Moment = {}
        self._search_seconds = search_seconds
        self._index = index_name(alias)
        self._own_alias = f"{self._index}_building"
        self._may_be_read = False

    async def begin(self) -> None:
        self._began = await moment(self._link, await self._indexes())
        body = {"settings": {"index": BUILDING}, "aliases": {self._own_alias: {}}}
        await self._step(lambda client: client.indices.create(index=self._index, body=body))

    async def write(self, documents: Sequence[SearchDocument]) -> tuple[Written, ...]:
        entries = [entry(document) for document in documents]
        return await put(self._link, "rebuild", self._own_alias, entries)

    async def finish(self) -> None:
        await self._step(
            lambda client: client.indices.put_settings(index=self._index, body={"index": BUILT})
        )
        await self._refresh(self._index)
        old = await self._indexes()
        copied = await self._copy(old, self._began)
        await self._refresh(self._index)
        await self._swap(old)
        if old:
            await self._close(old)
            await self._copy(old, copied)
        await self._wait_for_readers(old)
        await self._remove_others()

    async def leave(self) -> None:
        """Remove the index, unless it may be the one that is read."""
        if self._may_be_read:
            return
        try:
            await self._delete([self._index])
        except SearchUnavailable as error:
            _log.warning("an index is left behind", index=self._index, error=str(error))

    async def _swap(self, old: Sequence[str]) -> None:
        actions: list[dict[str, Any]] = [
            {"remove": {"index": index, "alias": self._alias}} for index in old
        ]
        actions.append({"remove": {"index": self._index, "alias": self._own_alias}})
        new = {"index": self._index, "alias": self._alias, "is_write_index": True}
        actions.append({"add": new})
        # From here on nobody knows, until it says no.
        self._may_be_read = True
        try:
            await self._step(
                lambda client: client.indices.update_aliases(body={"actions": actions})
            )
        except SearchRefused:
            self._may_be_read = False
            raise

    async def _close(self, indexes: Sequence[str]) -> None:
        """Let nobody write to them any more; returns once nobody does."""
        await self._step(
            lambda client: client.indices.add_block(index=",".join(indexes), block="write")
        )

    async def _copy(self, indexes: Sequence[str], since: Moment) -> Moment:
        """Tells the moment up to which everything was copied."""
        now = await moment(self._link, indexes)
        if indexes:
            await self._refresh(*indexes)
        async for page in written_since(self._link, since, now):
            await self._put(page)
        return now

    async def _put(self, entries: Sequence[Entry]) -> None:
        """Write what was copied; after the swap the own alias is gone, and the other leads here."""
        alias = self._alias if self._may_be_read else self._own_alias
        for pause in (*_PAUSES_S, None):
            written = await put(self._link, "rebuild", alias, entries)
            for each in written:
                if each.outcome is Outcome.REJECTED:
                    raise SearchUnavailable(f"rebuild: a document cannot be copied: {each.reason}")
            pairs = zip(entries, written, strict=True)
            entries = [each for each, to in pairs if to.outcome is Outcome.UNAVAILABLE]
            if not entries:
                return
            if pause is not None:
                await asyncio.sleep(pause)
        raise SearchUnavailable("rebuild: some documents were not taken")

    async def _refresh(self, *indexes: str) -> None:
        await self._step(lambda client: client.indices.refresh(index=",".join(indexes)))

    async def _indexes(self) -> list[str]:
        """Those behind the alias: one, but where somebody has put it before several."""

        async def ask(client: AsyncOpenSearch) -> list[str]:
            return sorted(await client.indices.get_alias(name=self._alias))

        return await self._step(ask)

    async def _wait_for_readers(self, indexes: Sequence[str]) -> None:
        """Nobody comes any more. Those who are there have an answer within `search_seconds`, or have gone by then."""
        until = time.monotonic() + self._search_seconds
        quiet = False
        while time.monotonic() < until:
            # A search that has found its index but not begun yet is counted a moment later.
            await asyncio.sleep(_LOOK_S)
            was_quiet, quiet = quiet, not await self._searches(indexes)
            if was_quiet and quiet:
                return

    async def _searches(self, indexes: Sequence[str]) -> int:
        """Those that are under way."""

        async def ask(client: AsyncOpenSearch) -> int:
            told = await client.indices.stats(index=",".join(indexes), metric="search")
            counts = told["_all"]["total"]["search"]
            return int(counts["query_current"]) + int(counts["fetch_current"])

        return await self._step(ask)

    async def _remove_others(self) -> None:
        async def ask(client: AsyncOpenSearch) -> list[str]:
            known = await client.indices.get_alias(index=pattern(self._alias))
            return [index for index, told in known.items() if self._alias not in told["aliases"]]

        others = await self._step(ask)
        if others:
            await self._delete(others)

    async def _delete(self, indexes: Sequence[str]) -> None:
        await self._step(
            lambda client: client.indices.delete(
                index=",".join(indexes), params={"ignore_unavailable": "true"}
            )
        )

    async def _step(self, command: Callable[[AsyncOpenSearch], Awaitable[R]]) -> R:
        return await self._link.call("rebuild", command, seconds=STEP_S)


@asynccontextmanager
async def rebuilding(
    link: Link, alias: str, *, prepare: Callable[[], Awaitable[None]], search_seconds: float
) -> AsyncIterator[OpenSearchRebuild]:
    """`prepare` makes what writers need meanwhile."""
    rebuild = OpenSearchRebuild(link, alias, search_seconds=search_seconds)
    await prepare()
    await rebuild.begin()
    try:
        yield rebuild
    finally:
        await rebuild.leave()
