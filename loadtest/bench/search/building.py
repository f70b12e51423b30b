"""The index under a benchmark, built as a reindex builds it."""

import asyncio
import time
from collections.abc import Iterator, Sequence

from core.errors import SearchUnavailable
from core.search.document import SearchDocument
from core.search.engine import Outcome, Rebuild, open_writer
from core.search.settings import SearchSettings
from loadtest.bench.search.documents import document
from loadtest.bench.system.process import BenchFailed

BATCH = 2_000
WRITERS = 2
TRIES = 10
PAUSE_S = 1.0


async def build(settings: SearchSettings, total: int) -> float:
    """Documents a second. Raises BenchFailed where one is not taken."""
    writer = open_writer(settings)
    try:
        await writer.prepare()
        began = time.perf_counter()
        async with writer.rebuild() as rebuild:
            starts = iter(range(0, total, BATCH))
            async with asyncio.TaskGroup() as group:
                for _ in range(WRITERS):
                    group.create_task(_write(rebuild, starts, total))
            await rebuild.finish()
        seconds = time.perf_counter() - began
        await writer.refresh()
    finally:
        await writer.close()
    return total / seconds


def _documents(numbers: range, total: int) -> list[SearchDocument]:
    return [document(each, total) for each in numbers]


async def _write(rebuild: Rebuild, starts: Iterator[int], total: int) -> None:
    for start in starts:
        numbers = range(start, min(start + BATCH, total))
        documents = await asyncio.to_thread(_documents, numbers, total)
        await _until_taken(rebuild, documents)


async def _until_taken(rebuild: Rebuild, documents: Sequence[SearchDocument]) -> None:
    """What the engine has no time for is written again."""
    for _ in range(TRIES):
        documents = await _left(rebuild, documents)
        if not documents:
            return
        await asyncio.sleep(PAUSE_S)
    raise BenchFailed(f"{len(documents)} documents are not taken")


async def _left(rebuild: Rebuild, documents: Sequence[SearchDocument]) -> list[SearchDocument]:
    """Those that are to be written again."""
    try:
        answers = zip(documents, await rebuild.write(documents), strict=True)
    except SearchUnavailable:
        return list(documents)
    left = []
    for each, written in answers:
        if written.outcome is Outcome.UNAVAILABLE:
            left.append(each)
        elif written.outcome not in {Outcome.INDEXED, Outcome.STALE}:
            raise BenchFailed(f"a document is {written.outcome}: {written.reason}")
    return left
