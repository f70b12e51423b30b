"""The pipeline's attempts to fetch one image."""

import asyncio
from typing import Any, cast

import pytest

from consumer.fetching.fetcher import FetchResult
from consumer.fetching.limits.host_customer import HostBusy
from consumer.run import Run
from consumer.sandbox.admission import DecodersBusy
from consumer.worker.pipeline import Pipeline
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

    async def fetch(self, _url: str, _customer_id: str, _validator: object) -> FetchResult:
        self.called_at.append(asyncio.get_running_loop().time())
        raise self._failures.pop(0)


class BusyDecoder:
    """Expensive images of other customers keep the decoders busy."""

    async def wait_for_turn(self, customer_id: str) -> None:
        assert customer_id == "acme"
        raise DecodersBusy(5)


def failed_run(
    fetcher: Any,
    failure: type[ImageServiceError],
    *,
    attempts: int = 0,
    delay: float = 0,
    expensive: bool = False,
) -> Run:
    """Run a message that had `attempts` before, until it fails with `failure`. Return its run."""
    message = ImageMessage("id", "acme", "http://a.example/", 1, attempts, expensive=expensive)
    run = Run.of(message)
    pipeline = Pipeline(
        fetcher=fetcher,
        decoder=cast("Any", BusyDecoder()),
        storage=NOTHING,
        renditions=NOTHING,
        reuse=NOTHING,
        tables=NOTHING,
        retry_policy=RetryPolicy(3, delay),
    )
    with pytest.raises(failure):
        run_virtually(pipeline.run(message, run))
    return run


@pytest.mark.parametrize("failure", [RateLimited(retry_after=1), OriginError(retry_after=2)])
def test_a_short_retry_after_is_respected(failure: OriginError) -> None:
    """As a long one is, for which the message is requeued."""
    fetcher = FailingFetcher(failure, NotFound())
    assert failed_run(fetcher, NotFound).attempts == 2
    first, second = fetcher.called_at
    assert second - first == failure.retry_after


def test_the_last_attempt_is_left_to_a_later_message() -> None:
    """Two attempts follow one another; the third holds no slot while it waits."""
    fetcher = FailingFetcher(ConnectFailed(), ConnectFailed(), NotFound())
    assert failed_run(fetcher, ConnectFailed, delay=30).attempts == 2
    first, second = fetcher.called_at
    assert second - first < 1


def test_a_delayed_attempt_may_be_the_last() -> None:
    """The requeued message has the number of attempts."""
    fetcher = FailingFetcher(ConnectFailed(), NotFound())
    assert failed_run(fetcher, ConnectFailed, attempts=2, delay=30).attempts == 3
    assert len(fetcher.called_at) == 1


@pytest.mark.parametrize("before", [0, 1])
def test_a_busy_host_costs_no_attempt_and_resets_none(before: int) -> None:
    """Attempts of this run and of earlier runs count alike."""
    failed_once = FailingFetcher(ConnectFailed(), HostBusy())
    assert failed_run(failed_once, HostBusy, attempts=before).attempts == before + 1
    never_failed = FailingFetcher(HostBusy())
    assert failed_run(never_failed, HostBusy, attempts=before).attempts == before


def test_an_expensive_image_is_not_fetched_while_the_decoders_are_busy() -> None:
    """It would be fetched again at each return of its message. A cheap one is fetched at once."""
    waiting, cheap = FailingFetcher(), FailingFetcher(NotFound())
    assert failed_run(waiting, DecodersBusy, attempts=1, expensive=True).attempts == 1
    assert waiting.called_at == []
    failed_run(cheap, NotFound)
    assert len(cheap.called_at) == 1


def test_a_step_that_fails_is_measured() -> None:
    """The log line of the end then shows where the time went."""
    run = failed_run(FailingFetcher(NotFound()), NotFound)
    assert list(run.step_seconds) == ["fetch"]
