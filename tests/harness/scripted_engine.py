"""A search engine whose write results come from the test."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field

from core.search.document import SearchDocument
from core.search.engine import Rebuild, WriteResult, WriteStatus

HANG_TIMEOUT_S = 60


@dataclass(slots=True)
class ScriptedEngine:
    """`write_results` returns the results of a batch.

    `indexed_batches` has the indexed request ids of each batch with at least one.
    """

    write_results: Callable[[Sequence[SearchDocument]], Sequence[WriteResult]]
    indexed_batches: list[list[str]] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def prepare(self) -> None: ...

    async def incomplete(self) -> bool:
        return False

    async def refresh(self) -> None: ...

    async def close(self) -> None: ...

    def rebuild(self) -> AbstractAsyncContextManager[Rebuild]:
        raise NotImplementedError

    async def write(self, documents: Sequence[SearchDocument]) -> tuple[WriteResult, ...]:
        written = tuple(self.write_results(documents))
        pairs = zip(documents, written, strict=True)
        taken = [
            document.request_id for document, each in pairs if each.status is WriteStatus.INDEXED
        ]
        if taken:
            self.indexed_batches.append(taken)
        self.changed.set()
        return written

    @property
    def indexed(self) -> set[str]:
        return {request_id for batch in self.indexed_batches for request_id in batch}

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(HANG_TIMEOUT_S):
            while not condition():
                self.changed.clear()
                await self.changed.wait()
