"""A search engine whose write results come from the test."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field

from core.search.document import SearchDocument
from core.search.engine import Rebuild, WriteResult, WriteStatus

PATIENCE_S = 60


@dataclass(slots=True)
class ScriptedEngine:
    """`judge` returns the results of a batch. `took` has the indexed request ids of each batch with at least one."""

    judge: Callable[[Sequence[SearchDocument]], Sequence[WriteResult]]
    took: list[list[str]] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def prepare(self) -> None: ...

    async def incomplete(self) -> bool:
        return False

    async def refresh(self) -> None: ...

    async def close(self) -> None: ...

    def rebuild(self) -> AbstractAsyncContextManager[Rebuild]:
        raise NotImplementedError

    async def write(self, documents: Sequence[SearchDocument]) -> tuple[WriteResult, ...]:
        written = tuple(self.judge(documents))
        pairs = zip(documents, written, strict=True)
        taken = [
            document.request_id for document, each in pairs if each.status is WriteStatus.INDEXED
        ]
        if taken:
            self.took.append(taken)
        self.changed.set()
        return written

    @property
    def indexed(self) -> set[str]:
        return {request_id for batch in self.took for request_id in batch}

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not condition():
                self.changed.clear()
                await self.changed.wait()
