"""How reconcile reads the table: segments beside one another, under one rate, and on from where it was."""

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest

from consumer.jobs.rate_limiter import Pace
from consumer.jobs.stale_scan import Checkpoint, StaleScan
from harness.virtual_time import run_virtually

PAGE_ROWS = 1_000


@dataclass(slots=True)
class Table:
    """Segments of `pages` full pages, each of which takes `seconds` to read."""

    pages: int
    seconds: float
    asked: list[tuple[int, int]] = field(default_factory=list)

    async def scan(self, **arguments: Any) -> dict[str, Any]:
        page = int(arguments.get("ExclusiveStartKey", {"N": "0"})["N"])
        self.asked.append((arguments["Segment"], page))
        await asyncio.sleep(self.seconds)
        answer: dict[str, Any] = {"Items": [], "ScannedCount": PAGE_ROWS}
        if page + 1 < self.pages:
            answer["LastEvaluatedKey"] = {"N": str(page + 1)}
        return answer


async def read(
    table: Table, *, rate: float, segments: int, kept: Path | None = None, most: int | None = None
) -> float:
    """Read the segments, up to `most` pages of each; how many seconds it took."""
    loop = asyncio.get_running_loop()
    scan = StaleScan(
        cast("Any", table),
        "requests",
        cutoff=0,
        segments=segments,
        pace=Pace(rate),
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
def test_the_rate_is_met_whatever_a_page_takes(
    page_s: float, segments: int, expected: float
) -> None:
    """400,000 rows at 5,000 a second are 80 s, unless one stream alone cannot read so fast."""
    table = Table(400 // segments, page_s)
    spent = run_virtually(read(table, rate=5_000, segments=segments))
    assert spent == pytest.approx(expected, abs=1)


def test_each_segment_goes_on_from_where_it_was(tmp_path: Path) -> None:
    """What was dealt with is not read again; the page that was cut short is."""
    kept = tmp_path / "checkpoint.json"
    table = Table(pages=3, seconds=0.0)
    run_virtually(read(table, rate=5_000, segments=2, kept=kept, most=1))
    assert table.asked == [(0, 0), (1, 0), (0, 1), (1, 1)]
    table.asked.clear()
    run_virtually(read(table, rate=5_000, segments=2, kept=kept))
    assert table.asked == [(0, 1), (1, 1), (0, 2), (1, 2)]
