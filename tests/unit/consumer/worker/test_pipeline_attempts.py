"""What the pipeline does between two attempts at one image."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from consumer.fetching.fetcher import FetchResult
from consumer.fetching.host_limiter import HostBusy
from consumer.worker.pipeline import Pipeline, RunDeferred, RunFailed
from consumer.worker.retry_policy import RetryPolicy
from core.errors import ConnectFailed, ImageServiceError, NotFound, OriginError, RateLimited
from core.model.message import ImageMessage
from harness.virtual_time import run_virtually

NOTHING: Any = None
"""For what lies beyond the fetch: it is not reached."""


class FailingFetcher:
    """Fails with one error after another, and notes when it was asked, in seconds of the loop's clock."""

    def __init__(self, *failures: ImageServiceError) -> None:
        self._failures = list(failures)
        self.asked_at: list[float] = []

    @asynccontextmanager
    async def fetch(self, _url: str) -> AsyncIterator[FetchResult]:
        self.asked_at.append(asyncio.get_running_loop().time())
        raise self._failures.pop(0)
        yield


async def attempt(fetcher: Any, *, attempts: int = 0, delay: float = 0) -> None:
    pipeline = Pipeline(
        fetcher=fetcher,
        decoder=NOTHING,
        storage=NOTHING,
        tables=NOTHING,
        retry_policy=RetryPolicy(3, delay),
    )
    await pipeline.run(ImageMessage("id", "acme", "http://a.example/", 1, attempts))


@pytest.mark.parametrize("failure", [RateLimited(retry_after=1), OriginError(retry_after=2)])
def test_a_short_wait_that_the_origin_asks_for_is_granted(failure: OriginError) -> None:
    """Not only one so long that the message is given back for it."""
    fetcher = FailingFetcher(failure, NotFound())
    with pytest.raises(RunFailed) as run:
        run_virtually(attempt(fetcher))
    assert run.value.attempts == 2
    first, second = fetcher.asked_at
    assert second - first == failure.retry_after


def test_the_last_attempt_is_not_made_in_the_slot() -> None:
    """Two follow one another closely; the third is left to a message that comes later, and holds no slot till then."""
    fetcher = FailingFetcher(ConnectFailed(), ConnectFailed(), NotFound())
    with pytest.raises(RunFailed) as run:
        run_virtually(attempt(fetcher, delay=30))
    assert run.value.attempts == 2
    first, second = fetcher.asked_at
    assert second - first < 1


def test_an_attempt_that_came_late_is_the_last() -> None:
    """The message that came back carries the count."""
    fetcher = FailingFetcher(ConnectFailed(), NotFound())
    with pytest.raises(RunFailed) as run:
        run_virtually(attempt(fetcher, attempts=2, delay=30))
    assert run.value.attempts == 3
    assert len(fetcher.asked_at) == 1


@pytest.mark.parametrize("before", [0, 1])
def test_a_busy_host_costs_no_attempt_and_forgives_none(before: int) -> None:
    """Those of this run count as those of earlier ones do."""
    with pytest.raises(RunDeferred) as run:
        run_virtually(attempt(FailingFetcher(ConnectFailed(), HostBusy()), attempts=before))
    assert run.value.attempts == before + 1
    with pytest.raises(RunDeferred) as run:
        run_virtually(attempt(FailingFetcher(HostBusy()), attempts=before))
    assert run.value.attempts == before
