"""Names that do not exist and names of private addresses: the time of a failed fetch tells nothing."""

import asyncio
import socket
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.fetching.fetcher import MIN_LOOKUP_S, Fetcher, FetchPolicy
from core.errors import DnsFailed, ImageFailure
from harness.raw_origin import TableResolver
from harness.virtual_time import run_virtually

INTERNAL, MISSING = "http://internal.example/a.jpg", "http://missing.example/a.jpg"

Seen = tuple[type[ImageFailure], str, float]


class SlowResolver(TableResolver):
    """Answers after so many seconds."""

    def __init__(self, seconds: float) -> None:
        super().__init__({"internal.example": ("10.0.0.1", "fd00::1", "169.254.169.254")})
        self._seconds = seconds

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> Any:
        await asyncio.sleep(self._seconds)
        return await super().resolve(host, port, family)


def seen(urls: list[str], lookup: float) -> list[Seen]:
    """Fetch one after another. Return what each caller sees: the failure, its text, and the seconds."""

    async def fetch_all() -> list[Seen]:
        fetcher = Fetcher(FetchPolicy(), resolver=SlowResolver(lookup))
        return [await fetch_one(fetcher, url) for url in urls]

    return run_virtually(fetch_all())


async def fetch_one(fetcher: Fetcher, url: str) -> Seen:
    started = asyncio.get_running_loop().time()
    with pytest.raises(ImageFailure) as raised, await fetcher.fetch(url):
        pass
    elapsed = asyncio.get_running_loop().time() - started
    return type(raised.value), str(raised.value), round(elapsed, 6)


@given(st.lists(st.sampled_from([INTERNAL, MISSING])), st.floats(0, MIN_LOOKUP_S - 0.01))
def test_every_failed_name_looks_the_same(urls: list[str], lookup: float) -> None:
    """In any order, although only the name that exists is cached."""
    assert seen(urls, lookup) == [(DnsFailed, str(DnsFailed()), MIN_LOOKUP_S)] * len(urls)


def test_a_slow_lookup_is_not_made_slower() -> None:
    """The shortest time includes the lookup."""
    assert seen([MISSING], 2.0) == [(DnsFailed, str(DnsFailed()), 2.0)]


def test_an_address_fails_at_once() -> None:
    """It tells nothing that its customer did not write."""
    ((_, _, elapsed),) = seen(["http://10.0.0.1/a.jpg"], 0.1)
    assert elapsed == 0
