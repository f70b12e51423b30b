"""A rebuild: fills a new index beside the one that is read, and then takes its place.

While the new index is built, writers write to the old one. `finish` copies what they wrote since the start, then the
few writes made meanwhile. Then it blocks writes to the old index, copies the rest and moves the alias. A write to the
blocked index fails as unavailable, so it is retried and reaches the new index. Copying a document twice is harmless,
because writes have versions. So the index that is read has every acknowledged write at any time, however the rebuild
ends. If the process is killed while writes are blocked, they stay blocked: indexers wait, and log it, until another
rebuild succeeds.

A killed rebuild leaves its index behind. It looks like an index that is still being built, so it stays until a later
rebuild succeeds, which deletes all indexes of the alias but its own. So the first of two concurrent rebuilds to finish
ends the other: that one writes through an alias of its own, which was deleted with its index, and its next write fails.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar

import structlog
from tenacity import stop_after_attempt

from core.answers import member
from core.errors import SearchUnavailable
from core.resilience.backoff import Backoff
from core.resilience.retry import retrying
from core.search.document import SearchDocument
from core.search.engine import WriteResult, WriteStatus
from core.search.opensearch import aliases
from core.search.opensearch.answers import decode_acknowledged, decode_aliases, decode_refresh
from core.search.opensearch.bulk import BulkItem, to_item, write_bulk
from core.search.opensearch.changes import Checkpoints, changes_since, read_checkpoints
from core.search.opensearch.client import Command, OpenSearchClient
from core.search.opensearch.errors import SearchRejected
from core.search.opensearch.schema import BUILD_SETTINGS, LIVE_SETTINGS, index_name, index_pattern

R = TypeVar("R")

STEP_TIMEOUT_S = 120.0
"""For one step of `finish`; the longest one makes millions of documents searchable."""
_COPY_ATTEMPTS = 6
_COPY_BACKOFF = Backoff(0.5, 8.0, floor=1)
"""No jitter: only one process copies, and the engine gets all of the 15 s to recover."""
_POLL_S = 0.25
"""Between two checks whether the old index is still searched."""
_LEFT_BEHIND = "search index left behind; the next rebuild deletes it"
_WRITES_BLOCKED = "rebuild: the index may take no writes until it is rebuilt"
_UNKNOWN = (
    "rebuild: the engine does not say whether the old or the new index is read: rebuild again"
)

_log = structlog.get_logger()


async def run_to_completion(work: Coroutine[Any, Any, R]) -> R:
    """Run `work` to its end even if the caller is cancelled; CancelledError is raised afterwards.

    So `work` must limit its own time.
    """
    task = asyncio.create_task(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        while not task.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait([task])
        # Otherwise asyncio would log that the exception was never retrieved.
        task.exception()
        raise


class _CopyIncomplete(SearchUnavailable):
    """The engine did not take some of the documents now."""


class OpenSearchRebuild:
    """`search_timeout_s` is the longest time that readers wait for an answer."""

    def __init__(self, client: OpenSearchClient, alias: str, *, search_timeout_s: float) -> None:
        self._client = client
        self._alias = alias
        self._started_at: Checkpoints = {}
        self._search_timeout_s = search_timeout_s
        self._index = index_name(alias)
        self._own_alias = f"{self._index}_building"
        self._blocked: Sequence[str] = ()
        self._swapped: bool | None = False
        """Whether the alias leads to the new index. None if it is unknown."""

    async def start(self) -> None:
        old = await aliases.indexes_of(self._client, self._alias)
        self._started_at = await read_checkpoints(self._client, old)
        body = {"settings": {"index": BUILD_SETTINGS}, "aliases": {self._own_alias: {}}}
        # If this were cancelled, the index might be created after `rollback` has deleted it.
        await run_to_completion(
            self._step(
                lambda opensearch: opensearch.indices.create(index=self._index, body=body),
                decode_acknowledged,
                aliases.TIMEOUT_S,
            )
        )

    async def write(self, documents: Sequence[SearchDocument]) -> tuple[WriteResult, ...]:
        items = [to_item(document) for document in documents]
        return await write_bulk(self._client, "rebuild", self._own_alias, items)

    async def finish(self) -> None:
        """Swap the indexes. A cancellation before the swap is raised; after it, only the clean-up is skipped.

        `cancelling` of the task still counts the cancellation, so that a command can report it.
        """
        await self._step(
            lambda opensearch: opensearch.indices.put_settings(
                index=self._index, body={"index": LIVE_SETTINGS}
            ),
            decode_acknowledged,
        )
        await self._refresh(self._index)
        old = await aliases.indexes_of(self._client, self._alias)
        copied = await self._copy(old, self._started_at)
        # The first copy took long, so many documents may have been written meanwhile.
        await self._refresh(self._index)
        copied = await self._copy(old, copied)
        await self._block_writes(old)
        await self._copy(old, copied)
        await self._refresh(self._index)
        try:
            await run_to_completion(self._swap(old))
            await self._delete_old(old)
        except asyncio.CancelledError as cancelled:
            if self._swapped is None:
                raise SearchUnavailable(_UNKNOWN) from cancelled
            if not self._swapped:
                raise
            _log.warning(_LEFT_BEHIND, index=old)

    async def rollback(self) -> None:
        """Allow writes to the old index again and delete the new one, unless the new one is read or may be.

        Raises SearchUnavailable if writes may still be blocked.
        """
        if self._swapped is not False:
            return
        try:
            if self._blocked:
                await aliases.unblock_writes(self._client, self._blocked)
        except SearchUnavailable as error:
            raise SearchUnavailable(f"{_WRITES_BLOCKED} ({error})") from error
        finally:
            await self._delete_own()

    async def _delete_own(self) -> None:
        try:
            await self._delete([self._index], aliases.TIMEOUT_S)
        except SearchUnavailable as error:
            _log.warning(_LEFT_BEHIND, index=self._index, error=str(error))

    async def _block_writes(self, old: Sequence[str]) -> None:
        if old:
            # Set first: the block may succeed although its answer is lost.
            self._blocked = old
            # If this were cancelled, the block might take effect after `rollback` has removed it.
            await run_to_completion(aliases.block_writes(self._client, old))

    async def _swap(self, old: Sequence[str]) -> None:
        self._swapped = None
        try:
            await aliases.swap_alias(self._client, self._alias, old, self._index, self._own_alias)
        except SearchRejected:
            self._swapped = False
            raise
        except SearchUnavailable as error:
            try:
                aborted = await aliases.abort_swap(self._client, self._index, self._own_alias)
            except SearchUnavailable:
                raise SearchUnavailable(_UNKNOWN) from error
            if aborted:
                self._swapped = False
                raise
        self._swapped = True

    async def _delete_old(self, old: Sequence[str]) -> None:
        try:
            await self._wait_for_readers(old)
            await self._delete_others()
        except SearchUnavailable as error:
            _log.warning(_LEFT_BEHIND, index=old, error=str(error))

    async def _copy(self, indexes: Sequence[str], since: Checkpoints) -> Checkpoints:
        """Copy the changes since some checkpoints; return the checkpoints up to which all changes are copied."""
        now = await read_checkpoints(self._client, indexes)
        if indexes:
            await self._refresh(*indexes)
        async for page in changes_since(self._client, since, now):
            await self._copy_page(page)
        return now

    async def _copy_page(self, page: Sequence[BulkItem]) -> None:
        left = list(page)

        async def copy() -> None:
            written = await write_bulk(self._client, "rebuild", self._own_alias, left)
            for each in written:
                if each.status is WriteStatus.REJECTED:
                    raise SearchUnavailable(f"rebuild: a document cannot be copied: {each.reason}")
            pairs = zip(left, written, strict=True)
            left[:] = [each for each, to in pairs if to.status is WriteStatus.UNAVAILABLE]
            if left:
                raise _CopyIncomplete("rebuild: some documents were not written")

        await retrying(
            "copy documents",
            _CopyIncomplete,
            backoff=_COPY_BACKOFF,
            stop=stop_after_attempt(_COPY_ATTEMPTS),
        )(copy)

    async def _refresh(self, *indexes: str) -> None:
        await self._step(
            lambda opensearch: opensearch.indices.refresh(index=",".join(indexes)), decode_refresh
        )

    async def _wait_for_readers(self, indexes: Sequence[str]) -> None:
        """Wait for searches in flight. New ones go to the new index, and each ends within `search_timeout_s`."""
        deadline = time.monotonic() + self._search_timeout_s
        idle = False
        while time.monotonic() < deadline:
            # A search may have resolved the alias but not be counted yet, so two idle checks in a row are needed.
            await asyncio.sleep(_POLL_S)
            was_idle, idle = idle, not await self._searches_in_flight(indexes)
            if was_idle and idle:
                return

    async def _searches_in_flight(self, indexes: Sequence[str]) -> int:
        return await self._step(
            lambda opensearch: opensearch.indices.stats(index=",".join(indexes), metric="search"),
            _decode_searches,
        )

    async def _delete_others(self) -> None:
        """Delete all indexes of the alias that it does not lead to."""
        indexes = await self._step(
            lambda opensearch: opensearch.indices.get_alias(index=index_pattern(self._alias)),
            decode_aliases,
        )
        others = [index for index, known in indexes.items() if self._alias not in known]
        if others:
            await self._delete(others, STEP_TIMEOUT_S)

    async def _delete(self, indexes: Sequence[str], seconds: float) -> None:
        await self._step(
            lambda opensearch: opensearch.indices.delete(
                index=",".join(indexes), params={"ignore_unavailable": "true"}
            ),
            decode_acknowledged,
            seconds,
        )

    async def _step(
        self, command: Command, decode: Callable[[Any], R], seconds: float = STEP_TIMEOUT_S
    ) -> R:
        return await self._client.call("rebuild", command, decode, seconds=seconds)


def _decode_searches(answer: Mapping[str, Any]) -> int:
    """Decode the search statistics of indexes: the number of searches in flight."""
    counts = answer["_all"]["total"]["search"]
    return member(counts, "query_current", int) + member(counts, "fetch_current", int)


@asynccontextmanager
async def rebuilding(
    client: OpenSearchClient,
    alias: str,
    *,
    prepare: Callable[[], Awaitable[None]],
    search_timeout_s: float,
) -> AsyncIterator[OpenSearchRebuild]:
    """`prepare` creates the index that writers need meanwhile."""
    rebuild = OpenSearchRebuild(client, alias, search_timeout_s=search_timeout_s)
    await prepare()
    try:
        await rebuild.start()
        yield rebuild
    finally:
        await run_to_completion(rebuild.rollback())
