"""Compare the published bytes with the recorded metadata."""

import asyncio
import hashlib
from collections.abc import Sequence

import aiohttp

from cli.demo.run import Result

TOTAL_TIMEOUT_S = 30.0


async def find_mismatches(results: Sequence[Result]) -> list[str]:
    """Fetch each public URL. Returns a line for each whose bytes differ from the recorded ones."""
    timeout = aiohttp.ClientTimeout(total=TOTAL_TIMEOUT_S)
    async with aiohttp.ClientSession(timeout=timeout, trust_env=False) as session:
        faults = await asyncio.gather(*(_fault(session, result) for result in results))
    return [fault for fault in faults if fault]


async def _fault(session: aiohttp.ClientSession, result: Result) -> str | None:
    url, metadata = result.outcome.public_url, result.outcome.metadata
    if url is None or metadata is None:
        return f"{result.item.name}: COMPLETED without a public URL"
    try:
        async with session.get(url) as answer:
            body = await answer.read()
            status = answer.status
    except (aiohttp.ClientError, TimeoutError) as error:
        return f"{result.item.name}: {url} cannot be read ({error})"
    if status != 200:  # noqa: PLR2004  HTTP's OK
        return f"{result.item.name}: {url} answers {status}"
    return mismatch(result.item.name, body, metadata["bytes"], metadata["sha256"])


def mismatch(name: str, body: bytes, size: int, sha256: str) -> str | None:
    """Return the difference between `body` and the recorded values; None if there is none."""
    if len(body) != size:
        return f"{name}: {len(body)} bytes are published, {size} were recorded"
    if hashlib.sha256(body).hexdigest() != sha256:
        return f"{name}: the published bytes have another SHA-256 than recorded"
    return None
