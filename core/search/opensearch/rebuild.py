"""A new index beside the one that is read, and the moment at which it takes its place.

While it is built, writers write to the old one. At the end, what they wrote since the beginning is copied, and then
what they wrote meanwhile, which is little; now the old index is closed to writes, the rest is copied, and the alias is
moved. A write that comes while the old index is closed is refused as unavailable, and so comes again, to the new one.
What is copied twice does no harm: versions tell. So the index that is read has all that was acknowledged, at every
moment and whatever ends the rebuild. Who is killed while the old index is closed leaves it so: indexers wait, and say
so, until another rebuild has made a new one.

A rebuild that is killed leaves its index behind. Nobody can tell it from one that is still being built, so it stays
until a later rebuild has succeeded, which removes every index of this alias but its own. Of two that run at once the
first to end therefore ends the other, which fails at its next write: it writes through an alias of its own, which went
with its index.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar

import structlog
from opensearchpy import AsyncOpenSearch
from tenacity import stop_after_attempt

from core.errors import SearchUnavailable
from core.resilience.backoff import Backoff
from core.resilience.retry import retrying
from core.search.document import SearchDocument
from core.search.engine import WriteResult, WriteStatus
from core.search.opensearch.aliases import (
    DECISION_S,
    behind,
    called_off,
    close,
    open_again,
    swap,
)
from core.search.opensearch.bulk import Entry, entry, put
from core.search.opensearch.changes import Moment, moment, written_since
from core.search.opensearch.client import Link, SearchRefused
from core.search.opensearch.schema import BUILDING, BUILT, index_name, pattern

# Work that a cancellation does not break off.

R = TypeVar("R")


async def to_its_end(work: Coroutine[Any, Any, R]) -> R:
    """Its answer. Whoever is cancelled meanwhile hears of it when the work has ended, whatever came of it.

    So `work` must limit its own time.
    """
    task = asyncio.create_task(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        while not task.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait([task])
        # Or it would be logged that nobody asked.
        task.exception()
        raise


STEP_S = 120.0
"""The longest that one step of the end may take: making millions of documents searchable is one."""
_COPY_ATTEMPTS = 6
_COPY_BACKOFF = Backoff(0.5, 8.0, floor=1)
"""No jitter: only one process copies, and the engine gets all of the 15 s to recover."""
_LOOK_S = 0.25
"""Between two looks whether the old index is still read."""
_LEFT = "an index is left behind, and goes with the next rebuild"
_CLOSED = "rebuild: the index may take no writes until it is built anew"
_UNKNOWN = (
    "rebuild: the engine does not say whether the old index is read or the new one: build it anew"
)

_log = structlog.get_logger()


class _NotTaken(SearchUnavailable):
    """The engine was reached, but had no room for some of the documents."""


class OpenSearchRebuild:
    """`search_seconds` is the longest that readers wait for an answer."""

    def __init__(self, link: Link, alias: str, *, search_seconds: float) -> None:
        self._link = link
        self._alias = alias
        self._began: Moment = {}
        self._search_seconds = search_seconds
        self._index = index_name(alias)
        self._own_alias = f"{self._index}_building"
        self._closed: Sequence[str] = ()
        self._read: bool | None = False
        """Whether the alias leads to the new index. None where nobody knows."""

    async def begin(self) -> None:
        self._began = await moment(self._link, await behind(self._link, self._alias))
        body = {"settings": {"index": BUILDING}, "aliases": {self._own_alias: {}}}
        # Cut off, it might be made after `leave` has removed it.
        await to_its_end(
            self._step(
                lambda client: client.indices.create(index=self._index, body=body), DECISION_S
            )
        )

    async def write(self, documents: Sequence[SearchDocument]) -> tuple[WriteResult, ...]:
        entries = [entry(document) for document in documents]
        return await put(self._link, "rebuild", self._own_alias, entries)

    async def finish(self) -> None:
        """Who is cancelled before the swap hears of it; afterwards all is done but clearing away, and so it returns."""
        await self._step(
            lambda client: client.indices.put_settings(index=self._index, body={"index": BUILT})
        )
        await self._refresh(self._index)
        old = await behind(self._link, self._alias)
        copied = await self._copy(old, self._began)
        # Until now it was long, and much may have come.
        await self._refresh(self._index)
        copied = await self._copy(old, copied)
        await self._close(old)
        await self._copy(old, copied)
        await self._refresh(self._index)
        try:
            await to_its_end(self._swap(old))
            await self._clear_away(old)
        except asyncio.CancelledError as cancelled:
            if self._read is None:
                raise SearchUnavailable(_UNKNOWN) from cancelled
            if not self._read:
                raise
            if (task := asyncio.current_task()) is not None:
                task.uncancel()
            _log.warning(_LEFT, index=old)

    async def leave(self) -> None:
        """Unless the new index is read, or may be: let writers write to the old one again, and remove the new one.

        Raises SearchUnavailable where they may not be able to.
        """
        if self._read is not False:
            return
        try:
            if self._closed:
                await open_again(self._link, self._closed)
        except SearchUnavailable as error:
            raise SearchUnavailable(f"{_CLOSED} ({error})") from error
        finally:
            await self._remove_own()

    async def _remove_own(self) -> None:
        try:
            await self._delete([self._index], DECISION_S)
        except SearchUnavailable as error:
            _log.warning(_LEFT, index=self._index, error=str(error))

    async def _close(self, old: Sequence[str]) -> None:
        if old:
            # Told before it is done: it may be done though nobody answers.
            self._closed = old
            # Cut off, it might come to pass after `leave` has undone it.
            await to_its_end(close(self._link, old))

    async def _swap(self, old: Sequence[str]) -> None:
        self._read = None
        try:
            await swap(self._link, self._alias, old, self._index, self._own_alias)
        except SearchRefused:
            self._read = False
            raise
        except SearchUnavailable as error:
            try:
                off = await called_off(self._link, self._index, self._own_alias)
            except SearchUnavailable:
                raise SearchUnavailable(_UNKNOWN) from error
            if off:
                self._read = False
                raise
        self._read = True

    async def _clear_away(self, old: Sequence[str]) -> None:
        try:
            await self._wait_for_readers(old)
            await self._remove_others()
        except SearchUnavailable as error:
            _log.warning(_LEFT, index=old, error=str(error))

    async def _copy(self, indexes: Sequence[str], since: Moment) -> Moment:
        """Tells the moment up to which everything was copied."""
        now = await moment(self._link, indexes)
        if indexes:
            await self._refresh(*indexes)
        async for page in written_since(self._link, since, now):
            await self._put(page)
        return now

    async def _put(self, entries: Sequence[Entry]) -> None:
        """Copy all entries; retry those that the engine does not take now."""
        left = list(entries)

        async def copy() -> None:
            written = await put(self._link, "rebuild", self._own_alias, left)
            for each in written:
                if each.status is WriteStatus.REJECTED:
                    raise SearchUnavailable(f"rebuild: a document cannot be copied: {each.reason}")
            pairs = zip(left, written, strict=True)
            left[:] = [each for each, to in pairs if to.status is WriteStatus.UNAVAILABLE]
            if left:
                raise _NotTaken("rebuild: some documents were not taken")

        await retrying(
            "copy documents",
            _NotTaken,
            backoff=_COPY_BACKOFF,
            stop=stop_after_attempt(_COPY_ATTEMPTS),
        )(copy)

    async def _refresh(self, *indexes: str) -> None:
        await self._step(lambda client: client.indices.refresh(index=",".join(indexes)))

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
            await self._delete(others, STEP_S)

    async def _delete(self, indexes: Sequence[str], seconds: float) -> None:
        await self._step(
            lambda client: client.indices.delete(
                index=",".join(indexes), params={"ignore_unavailable": "true"}
            ),
            seconds,
        )

    async def _step(
        self, command: Callable[[AsyncOpenSearch], Awaitable[R]], seconds: float = STEP_S
    ) -> R:
        return await self._link.call("rebuild", command, seconds=seconds)


@asynccontextmanager
async def rebuilding(
    link: Link, alias: str, *, prepare: Callable[[], Awaitable[None]], search_seconds: float
) -> AsyncIterator[OpenSearchRebuild]:
    """`prepare` makes what writers need meanwhile."""
    rebuild = OpenSearchRebuild(link, alias, search_seconds=search_seconds)
    await prepare()
    try:
        await rebuild.begin()
        yield rebuild
    finally:
        await to_its_end(rebuild.leave())
