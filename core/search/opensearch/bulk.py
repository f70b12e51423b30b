"""Many documents in a call, and what became of each."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from opensearchpy import AsyncOpenSearch

from core.errors import SearchUnavailable
from core.search.document import SearchDocument
from core.search.engine import WriteResult, WriteStatus
from core.search.opensearch.client import Link
from core.search.opensearch.query_dsl import MalformedAnswer
from core.search.opensearch.schema import source

CALL_BYTES = 1024 * 1024
"""About two thousand documents. More would be no faster, and would hold up the event loop when it is sent."""
_LONGEST_ID = 512
"""Bytes. A longer one would have the whole call refused."""
_REASON = 300

_BAD_REQUEST = 400
_CONFLICT = 409
_NOT_OF_THE_DOCUMENT = frozenset({"index_closed_exception", "index_not_found_exception"})
_NO_WRITE_INDEX = "no write index is defined"
"""What the engine says of an alias that somebody has put before several indexes. It has no type of its own for that."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A document to be written. `source` is JSON, and `version` what orders writes of one document."""

    id: str
    version: int
    source: bytes

    @property
    def lines(self) -> bytes:
        action = {"_id": self.id, "version": self.version, "version_type": "external_gte"}
        return orjson.dumps({"index": action}) + b"\n" + self.source + b"\n"


def entry(document: SearchDocument) -> Entry | WriteResult:
    """WriteResult is what can be told without asking, because asking would have its neighbours refused as well."""
    size = len(document.image_id.encode(errors="replace"))
    if not 0 < size <= _LONGEST_ID or document.revision < 0:
        return WriteResult(WriteStatus.REJECTED, "its id or its revision is none")
    try:
        return Entry(document.image_id, document.revision, source(document))
    except (orjson.JSONEncodeError, ValueError) as error:
        return WriteResult(WriteStatus.REJECTED, str(error))


async def put(
    link: Link, operation: str, alias: str, entries: Sequence[Entry | WriteResult]
) -> tuple[WriteResult, ...]:
    """Write through an alias; raises SearchUnavailable where nothing was taken."""
    written = [each if isinstance(each, WriteResult) else None for each in entries]
    waiting = ((place, each.lines) for place, each in enumerate(entries) if isinstance(each, Entry))
    failed: SearchUnavailable | None = None
    for number, part in enumerate(_parts(waiting)):
        outcomes: Sequence[WriteResult] = ()
        if failed is None:
            try:
                outcomes = await _call(link, operation, alias, [each for _, each in part])
            except SearchUnavailable as error:
                if number == 0:
                    raise
                failed = error
        if failed is not None:
            outcomes = [WriteResult(WriteStatus.UNAVAILABLE, str(failed))] * len(part)
        for (place, _), outcome_ in zip(part, outcomes, strict=True):
            written[place] = outcome_
    return tuple(each for each in written if each is not None)


def _parts(waiting: Iterable[tuple[int, bytes]]) -> Iterator[list[tuple[int, bytes]]]:
    part: list[tuple[int, bytes]] = []
    size = 0
    for place, lines in waiting:
        if part and size + len(lines) > CALL_BYTES:
            yield part
            part, size = [], 0
        part.append((place, lines))
        size += len(lines)
    if part:
        yield part


async def _call(
    link: Link, operation: str, alias: str, documents: Sequence[bytes]
) -> Sequence[WriteResult]:
    content = b"".join(documents)

    async def bulk(client: AsyncOpenSearch) -> Sequence[WriteResult]:
        # An index that is made by writing to it would have the alias's name, and refuse nothing.
        answer = await client.bulk(body=content, index=alias, params={"require_alias": "true"})
        return _outcomes(answer, len(documents))

    return await link.call(operation, bulk)


def _outcomes(answer: Mapping[str, Any], count: int) -> Sequence[WriteResult]:
    try:
        outcomes = [outcome(item["index"]) for item in answer["items"]]
    except (LookupError, TypeError) as error:
        raise MalformedAnswer(f"{type(error).__name__}: {error}") from error
    if len(outcomes) != count:
        raise MalformedAnswer(f"{len(outcomes)} outcomes of {count}")
    return outcomes


def outcome(item: Mapping[str, Any]) -> WriteResult:
    """What became of one document, by its part of the answer."""
    status = item["status"]
    if status < _BAD_REQUEST:
        return WriteResult(WriteStatus.INDEXED)
    if status == _CONFLICT:
        return WriteResult(WriteStatus.STALE)
    kind, reason = item["error"]["type"], _reason(item["error"])
    if (
        status == _BAD_REQUEST
        and kind not in _NOT_OF_THE_DOCUMENT
        and _NO_WRITE_INDEX not in reason
    ):
        return WriteResult(WriteStatus.REJECTED, reason)
    # Refused permissions, an index that a full disk made read-only or that is not there: none is the document's.
    return WriteResult(WriteStatus.UNAVAILABLE, reason)


def _reason(error: Mapping[str, Any]) -> str:
    cause = error.get("caused_by") or {}
    told = (error["type"], error.get("reason"), cause.get("reason"))
    return ": ".join(str(each) for each in told if each)[:_REASON]
