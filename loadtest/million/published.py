"""Fetching published pictures, as anyone may who was told of their public URLs."""

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp

from loadtest.million.proof import StoredImage

FETCHED = 5_000
"""Pictures of a long run, nearly; all of a short one. Each costs the store as much as its upload did."""
FETCH_SECONDS = 15.0


_RANGE = 2**32
_SPREAD = 2_654_435_769
"""D. Knuth's multiplicative hash (The Art of Computer Programming, vol. 3, section 6.4): even over the numbers and
over every remainder of them, by which bodies, formats and hosts are chosen."""


def is_fetched(number: int, total: int) -> bool:
    """Whether item `number` is one of those whose picture is fetched."""
    return number * _SPREAD % _RANGE * total < FETCHED * _RANGE


class Published:
    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def fault(self, image: StoredImage) -> str | None:
        """What is wrong with the picture; None where its URL answers with the stored bytes."""
        try:
            async with self._session.get(image.public_url) as response:
                body = await response.read()
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            return f"{image.public_url} cannot be fetched: {type(error).__name__}: {error}"
        if response.status != 200:  # noqa: PLR2004
            return f"{image.public_url} answers {response.status}"
        if hashlib.sha256(body).hexdigest() != image.sha256:
            return f"{image.public_url} does not hold the stored bytes"
        return None


@asynccontextmanager
async def published() -> AsyncIterator[Published]:
    timeout = aiohttp.ClientTimeout(FETCH_SECONDS)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        yield Published(session)
