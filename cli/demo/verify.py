"""Compare the published bytes with the recorded metadata."""

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import aiohttp

from cli.demo.run import Result

TOTAL_TIMEOUT_S = 30.0


async def find_mismatches(results: Sequence[Result]) -> list[str]:
    """Fetch each public URL. Returns a line for each whose bytes differ from the recorded ones."""
    timeout = aiohttp.ClientTimeout(total=TOTAL_TIMEOUT_S)
    async with aiohttp.ClientSession(timeout=timeout, trust_env=False) as session:
        faults = await asyncio.gather(
            *(_fault(session, result) for result in results),
            *(
                _rendition_fault(session, result, preset)
                for result in results
                for preset in result.item.renditions
            ),
        )
    return [fault for fault in faults if fault]


async def _fault(session: aiohttp.ClientSession, result: Result) -> str | None:
    url, metadata = result.outcome.public_url, result.outcome.metadata
    if url is None or metadata is None:
        return f"{result.item.name}: COMPLETED without a public URL"
    return await _difference(session, result.item.name, url, metadata)


async def _rendition_fault(
    session: aiohttp.ClientSession, result: Result, preset: str
) -> str | None:
    name = f"{result.item.name}, {preset}"
    made = {
        each["preset"]: each for each in result.outcome.renditions or () if "public_url" in each
    }
    if preset not in made:
        return f"{name}: the rendition is missing"
    return await _difference(session, name, made[preset]["public_url"], made[preset])


async def _difference(
    session: aiohttp.ClientSession, name: str, url: str, recorded: Mapping[str, Any]
) -> str | None:
    """Fetch an object and compare it with its recorded size and hash."""
    try:
        async with session.get(url) as answer:
            body = await answer.read()
            status = answer.status
    except (aiohttp.ClientError, TimeoutError) as error:
        return f"{name}: {url} cannot be read ({error})"
    if status != 200:  # noqa: PLR2004  HTTP's OK
        return f"{name}: {url} answers {status}"
    return mismatch(name, body, recorded["bytes"], recorded["sha256"])


def mismatch(name: str, body: bytes, size: int, sha256: str) -> str | None:
    """Return the difference between `body` and the recorded values; None if there is none."""
    if len(body) != size:
        return f"{name}: {len(body)} bytes are published, {size} were recorded"
    if hashlib.sha256(body).hexdigest() != sha256:
        return f"{name}: the published bytes have another SHA-256 than recorded"
    return None
