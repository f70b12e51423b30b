"""The pipeline's attempts to fetch one image."""

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
"""Replaces the steps after the fetch, which are not reached."""


class FailingFetcher:
    """Fails with each of the given errors, and records the times of the calls, in seconds of the loop's clock."""

    def __init__(self, *failures: ImageServiceError) -> None:
        self._failures = list(failures)
        self.called_at: list[float] = []

    @asynccontextmanager
    async def fetch(self, _url: str) -> AsyncIterator[FetchResult]:
        self.called_at.append(asyncio.get_running_loop().time())
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
def test_a_short_retry_after_is_respected(failure: OriginError) -> None:
    """As a long one is, for which the message is requeued."""
    fetcher = FailingFetcher(failure, NotFound())
    with pytest.raises(RunFailed) as run:
        run_virtually(attempt(fetcher))
    assert run.value.attempts == 2
    first, second = fetcher.called_at
    assert second - first == failure.retry_after


def test_the_last_attempt_is_left_to_a_later_message() -> None:
    """Two attempts follow one another; the third holds no slot while it waits."""
    fetcher = FailingFetcher(ConnectFailed(), ConnectFailed(), NotFound())
    with pytest.raises(RunFailed) as run:
        run_virtually(attempt(fetcher, delay=30))
    assert run.value.attempts == 2
    first, second = fetcher.called_at
    assert second - first < 1


def test_a_delayed_attempt_may_be_the_last() -> None:
    """The requeued message has the number of attempts."""
    fetcher = FailingFetcher(ConnectFailed(), NotFound())
    with pytest.raises(RunFailed) as run:
        run_virtually(attempt(fetcher, attempts=2, delay=30))
    assert run.value.attempts == 3
    assert len(fetcher.called_at) == 1


@pytest.mark.parametrize("before", [0, 1])
def test_a_busy_host_costs_no_attempt_and_resets_none(before: int) -> None:
    """Attempts of this run and of earlier runs count alike."""
    with pytest.raises(RunDeferred) as run:
        run_virtually(attempt(FailingFetcher(ConnectFailed(), HostBusy()), attempts=before))
    assert run.value.attempts == before + 1
    with pytest.raises(RunDeferred) as run:
        run_virtually(attempt(FailingFetcher(HostBusy()), attempts=before))
    assert run.value.attempts == before
