"""Calls that server and consumers make to AWS, read from their metrics."""

import asyncio
import re
from collections.abc import Mapping, Sequence

import aiohttp

from loadtest.run_report.record import Table

SCRAPE_SECONDS = 5.0
_CALLS = re.compile(r'^aws_calls_total\{[^}]*operation="([^"]+)"[^}]*\} (\S+)$', re.MULTILINE)


async def calls_made(metrics: Sequence[str]) -> dict[str, float]:
    """Calls that server and consumers have made since they began, by operation. `metrics` are URLs."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(SCRAPE_SECONDS)) as session:
        pages = await asyncio.gather(*(_page(session, url) for url in metrics))
    calls: dict[str, float] = {}
    for page in pages:
        for operation, count in _CALLS.findall(page):
            calls[operation] = calls.get(operation, 0.0) + float(count)
    return calls


async def _page(session: aiohttp.ClientSession, url: str) -> str:
    """Empty where nobody answers: a report without this figure is better than none."""
    try:
        async with session.get(url) as response:
            return await response.text()
    except (aiohttp.ClientError, OSError, TimeoutError):
        return ""


def calls_table(before: Mapping[str, float], after: Mapping[str, float], items: int) -> Table:
    """`items` ended between the two readings."""
    made = {name: count - before.get(name, 0.0) for name, count in after.items()}
    rows = [(name, count) for name, count in sorted(made.items(), key=lambda one: -one[1]) if count]
    every = [("all", sum(count for _, count in rows)), *rows]
    return Table(
        "AWS calls of server and consumers",
        ("operation", "calls", "an item"),
        tuple((name, round(count), round(count / max(1, items), 4)) for name, count in every),
    )
