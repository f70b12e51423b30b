"""The result of each document of a bulk write to OpenSearch."""

import pytest
from aiohttp import web

from core.search.engine import WriteStatus

# Imported here because the import blocks the event loop.
from core.search.opensearch import engine as opensearch
from harness.scripted_opensearch import engine, settings
from harness.search_documents import document


async def test_a_partly_written_batch_has_partial_results() -> None:
    """Documents of the first call are INDEXED. The rest is UNAVAILABLE, so it is retried."""
    counts = []

    async def succeed_once(request: web.Request) -> web.Response:
        count = (await request.read()).count(b"\n") // 2
        counts.append(count)
        if len(counts) > 1:
            return web.Response(status=503)
        return web.json_response({"items": [{"index": {"status": 201}}] * count})

    big = [document(labels={"k": "x" * 300_000}) for _ in range(10)]
    async with engine(succeed_once) as url:
        writer = opensearch.open_writer(settings(url))
        written = [each.status for each in await writer.write(big)]
        await writer.close()
    assert len(counts) == 2
    assert 0 < counts[0] < len(big)
    assert written == [WriteStatus.INDEXED] * counts[0] + [WriteStatus.UNAVAILABLE] * (
        len(big) - counts[0]
    )


async def test_a_document_is_not_rejected_if_the_alias_has_no_index() -> None:
    """OpenSearch reports both with the type illegal_argument_exception. Only the reason differs."""
    kind = "illegal_argument_exception"
    reasons = ["no write index is defined for alias [images]. The write", "immense term"]

    async def refuse(request: web.Request) -> web.Response:
        await request.read()
        errors = [{"type": kind, "reason": reason} for reason in reasons]
        return web.json_response(
            {"items": [{"index": {"status": 400, "error": error}} for error in errors]}
        )

    async with engine(refuse) as url:
        writer = opensearch.open_writer(settings(url))
        written = await writer.write([document() for _ in reasons])
        await writer.close()
    assert [each.status for each in written] == [WriteStatus.UNAVAILABLE, WriteStatus.REJECTED]


@pytest.mark.parametrize(
    ("status", "kind", "expected"),
    [
        (400, "mapper_parsing_exception", WriteStatus.REJECTED),
        (400, "strict_dynamic_mapping_exception", WriteStatus.REJECTED),
        (400, "index_closed_exception", WriteStatus.UNAVAILABLE),
        (403, "cluster_block_exception", WriteStatus.UNAVAILABLE),
        (403, "security_exception", WriteStatus.UNAVAILABLE),
        (404, "index_not_found_exception", WriteStatus.UNAVAILABLE),
        (409, "version_conflict_engine_exception", WriteStatus.STALE),
        (429, "rejected_execution_exception", WriteStatus.UNAVAILABLE),
        (500, "exception", WriteStatus.UNAVAILABLE),
        (503, "unavailable_shards_exception", WriteStatus.UNAVAILABLE),
    ],
)
async def test_a_document_is_rejected_only_for_its_content(
    status: int, kind: str, expected: WriteStatus
) -> None:
    """Faults of the installation are temporary. The same document is accepted later."""
    error = {"type": kind, "reason": "why", "caused_by": {"type": "c", "reason": "deeper"}}

    async def one_of_three(request: web.Request) -> web.Response:
        await request.read()
        good = {"index": {"status": 200}}
        return web.json_response(
            {"items": [good, {"index": {"status": status, "error": error}}, good]}
        )

    async with engine(one_of_three) as url:
        writer = opensearch.open_writer(settings(url))
        first, failed, last = await writer.write([document() for _ in range(3)])
        await writer.close()
    assert first.status is last.status is WriteStatus.INDEXED
    assert failed.status is expected
    assert failed.reason == ("" if expected is WriteStatus.STALE else f"{kind}: why: deeper")
