"""Fills a new search index with every image of the images table."""

import asyncio
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from consumer.indexer.lookup import LookupResult, document_from, read_or_log
from consumer.jobs.progress import Progress
from core.dynamodb import schema
from core.dynamodb.scan import ImageScan
from core.dynamodb.tables import Tables
from core.errors import DependencyUnavailable, MalformedRow
from core.resilience.retry import retry_unavailable
from core.search.document import SearchDocument
from core.search.engine import Rebuild, WriteStatus

_log = structlog.get_logger()


@dataclass(slots=True)
class IndexStats:
    indexed: int = 0
    rejected: int = 0
    skipped: int = 0
    """Images whose request has not ended."""

    @property
    def seen(self) -> int:
        return self.indexed + self.rejected + self.skipped

    def __str__(self) -> str:
        text = f"{self.indexed} images indexed, {self.rejected} rejected"
        if self.skipped:
            text += f", {self.skipped} skipped because their requests are not COMPLETED"
        return text


class IndexBuilder:
    def __init__(
        self, scan: ImageScan, tables: Tables, rebuild: Rebuild, progress: Progress
    ) -> None:
        self._scan = scan
        self._tables = tables
        self._rebuild = rebuild
        self._progress = progress
        self._stats = IndexStats()

    async def run(self, segments: int) -> IndexStats:
        """Index all segments in parallel. Raises DependencyUnavailable after the last retry of a call."""
        tasks = [asyncio.create_task(self._segment(number)) for number in range(segments)]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
        return self._stats

    async def _segment(self, segment: int) -> None:
        async for items in self._scan.pages(segment):
            results = await retry_unavailable("read requests", self._documents, items)
            documents = [each for each in results if isinstance(each, SearchDocument)]
            self._stats.rejected += sum(isinstance(each, MalformedRow) for each in results)
            self._stats.skipped += sum(each is None for each in results)
            await self._write(documents)
            self._progress.advance(self._stats.seen, self._stats)

    async def _documents(self, items: Sequence[schema.Item]) -> list[LookupResult]:
        return await asyncio.gather(*(self._document(item) for item in items))

    async def _document(self, item: schema.Item) -> LookupResult:
        async def read() -> SearchDocument | None:
            record = schema.image_from_item(item)
            try:
                uuid.UUID(record.request_id)  # DynamoDB may reject another key.
            except ValueError as error:
                raise MalformedRow(record.image_id, repr(error)) from error
            return document_from(record, await self._tables.read_request(record.request_id))

        return await read_or_log(read, str(item.get(schema.REQUEST_ID)))

    async def _write(self, documents: list[SearchDocument]) -> None:
        """Write all documents. Retry those that the engine cannot take now."""

        async def write() -> None:
            if not documents:
                return
            written = await self._rebuild.write(documents)
            pairs = list(zip(documents, written, strict=True))
            documents[:] = []
            for document, each in pairs:
                if each.status is WriteStatus.UNAVAILABLE:
                    documents.append(document)
                elif each.status is WriteStatus.REJECTED:
                    self._stats.rejected += 1
                    _log.error(
                        "image not indexed",
                        request_id=document.request_id,
                        image_id=document.image_id,
                        reason=each.reason,
                    )
                else:
                    self._stats.indexed += 1
            if documents:
                raise DependencyUnavailable(f"{len(documents)} documents are not accepted now")

        await retry_unavailable("write documents", write)
