"""How reconcile reads the table: in parallel segments, at one rate, resuming from a checkpoint."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest

from consumer.jobs.stale_scan import Checkpoint, StaleScan
from core.resilience.rate_limiter import RateLimiter
from harness.virtual_time import run_virtually

PAGE_ROWS = 1_000


@dataclass(slots=True)
class Table:
    """Segments of `pages` full pages. The read of a page takes `seconds`."""

    pages: int
    seconds: float
    calls: list[tuple[int, int]] = field(default_factory=list)

    async def invoke(self, _operation: str, members: Mapping[str, Any]) -> dict[str, Any]:
        page = int(members.get("ExclusiveStartKey", {"N": "0"})["N"])
        self.calls.append((members["Segment"], page))
        await asyncio.sleep(self.seconds)
        answer: dict[str, Any] = {"Items": [], "Count": 0, "ScannedCount": PAGE_ROWS}
        if page + 1 < self.pages:
            answer["LastEvaluatedKey"] = {"N": str(page + 1)}
        return answer


async def read(
    table: Table, *, rate: float, segments: int, kept: Path | None = None, most: int | None = None
) -> float:
    """Read up to `most` pages of each segment. Return the time in seconds."""
    loop = asyncio.get_running_loop()
    scan = StaleScan(
        cast("Any", table),
        "requests",
        cutoff=0,
        segments=segments,
        rate_limiter=RateLimiter(rate),
        checkpoint=Checkpoint(kept, segments),
    )
    began = loop.time()

    async def read_segment(segment: int) -> None:
        pages = 0
        async for _ in scan.pages(segment):
            if pages == most:
                return
            pages += 1

    await asyncio.gather(*map(read_segment, range(segments)))
    return loop.time() - began


@pytest.mark.parametrize(
    ("page_s", "segments", "expected"), [(0.0, 4, 80), (0.1, 4, 80), (0.5, 4, 80), (0.5, 1, 200)]
)
def test_the_scan_reaches_its_rate(page_s: float, segments: int, expected: float) -> None:
    """400,000 rows at 5,000 per second take 80 s, unless one segment alone is slower."""
    table = Table(400 // segments, page_s)
    spent = run_virtually(read(table, rate=5_000, segments=segments))
    assert spent == pytest.approx(expected, abs=1)


def test_each_segment_resumes_from_its_checkpoint(tmp_path: Path) -> None:
    """Processed pages are not read again; the interrupted page is."""
    kept = tmp_path / "checkpoint.json"
    table = Table(pages=3, seconds=0.0)
    run_virtually(read(table, rate=5_000, segments=2, kept=kept, most=1))
    assert table.calls == [(0, 0), (1, 0), (0, 1), (1, 1)]
    table.calls.clear()
    run_virtually(read(table, rate=5_000, segments=2, kept=kept))
    assert table.calls == [(0, 1), (1, 1), (0, 2), (1, 2)]
