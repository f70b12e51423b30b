"""Bulk writes, and the result of each document."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import orjson

from core.answers import MalformedAnswer, member
from core.errors import SearchUnavailable
from core.search.document import SearchDocument
from core.search.engine import WriteResult, WriteStatus
from core.search.opensearch.client import OpenSearchClient
from core.search.opensearch.schema import document_source

MAX_CALL_BYTES = 1024 * 1024
"""About 2,000 documents. Larger calls are not faster, and block the event loop while they are sent."""
_MAX_ID_BYTES = 512
"""OpenSearch's limit. A longer id would fail the whole call."""
_MAX_REASON = 300
"""Characters."""

_BAD_REQUEST = 400
_CONFLICT = 409
_INDEX_ERRORS = frozenset({"index_closed_exception", "index_not_found_exception"})
_NO_WRITE_INDEX = "no write index is defined"
"""The reason if an operator put the alias on several indexes. OpenSearch has no error type for it."""


@dataclass(frozen=True, slots=True)
class BulkItem:
    """A document to write. `source` is JSON; `version` orders the writes of one document."""

    id: str
    version: int
    source: bytes

    @property
    def lines(self) -> bytes:
        action = {"_id": self.id, "version": self.version, "version_type": "external_gte"}
        return orjson.dumps({"index": action}) + b"\n" + self.source + b"\n"


def to_item(document: SearchDocument) -> BulkItem | WriteResult:
    """Return the item, or a rejection for a document that would fail the whole call."""
    size = len(document.image_id.encode(errors="replace"))
    if not 0 < size <= _MAX_ID_BYTES or document.revision < 0:
        return WriteResult(WriteStatus.REJECTED, "its id or its revision is invalid")
    try:
        return BulkItem(document.image_id, document.revision, document_source(document))
    except (orjson.JSONEncodeError, ValueError) as error:
        return WriteResult(WriteStatus.REJECTED, str(error))


async def write_bulk(
    client: OpenSearchClient, operation: str, alias: str, items: Sequence[BulkItem | WriteResult]
) -> tuple[WriteResult, ...]:
    """Write through an alias, and return the results in order. Raises SearchUnavailable if nothing was written."""
    results = [item if isinstance(item, WriteResult) else None for item in items]
    pending = ((n, item.lines) for n, item in enumerate(items) if isinstance(item, BulkItem))
    failure: SearchUnavailable | None = None
    for number, chunk in enumerate(_chunks(pending)):
        written: Sequence[WriteResult] = ()
        if failure is None:
            try:
                written = await _call(client, operation, alias, [lines for _, lines in chunk])
            except SearchUnavailable as error:
                if number == 0:
                    raise
                failure = error
        if failure is not None:
            written = [WriteResult(WriteStatus.UNAVAILABLE, str(failure))] * len(chunk)
        for (place, _), result in zip(chunk, written, strict=True):
            results[place] = result
    return tuple(result for result in results if result is not None)


def _chunks(pending: Iterable[tuple[int, bytes]]) -> Iterator[list[tuple[int, bytes]]]:
    chunk: list[tuple[int, bytes]] = []
    size = 0
    for place, lines in pending:
        if chunk and size + len(lines) > MAX_CALL_BYTES:
            yield chunk
            chunk, size = [], 0
        chunk.append((place, lines))
        size += len(lines)
    if chunk:
        yield chunk


async def _call(
    client: OpenSearchClient, operation: str, alias: str, documents: Sequence[bytes]
) -> Sequence[WriteResult]:
    content = b"".join(documents)
    return await client.call(
        operation,
        # Without require_alias, a write would create an index with the alias's name and without a mapping.
        lambda opensearch: opensearch.bulk(
            body=content, index=alias, params={"require_alias": "true"}
        ),
        partial(_decode_results, len(documents)),
    )


def _decode_results(count: int, answer: Mapping[str, Any]) -> Sequence[WriteResult]:
    results = [to_result(item["index"]) for item in member(answer, "items", list)]
    if len(results) != count:
        raise MalformedAnswer(f"{len(results)} results for {count} documents")
    return results


def to_result(item: Mapping[str, Any]) -> WriteResult:
    status = member(item, "status", int)
    if status < _BAD_REQUEST:
        return WriteResult(WriteStatus.INDEXED)
    if status == _CONFLICT:
        return WriteResult(WriteStatus.STALE)
    kind, reason = item["error"]["type"], _reason(item["error"])
    if status == _BAD_REQUEST and kind not in _INDEX_ERRORS and _NO_WRITE_INDEX not in reason:
        return WriteResult(WriteStatus.REJECTED, reason)
    # Missing permissions, a missing index, or an index that a full disk made read-only: not the document's fault.
    return WriteResult(WriteStatus.UNAVAILABLE, reason)


def _reason(error: Mapping[str, Any]) -> str:
    cause = error.get("caused_by") or {}
    parts = (error["type"], error.get("reason"), cause.get("reason"))
    return ": ".join(str(part) for part in parts if part)[:_MAX_REASON]
