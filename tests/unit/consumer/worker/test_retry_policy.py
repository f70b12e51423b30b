"""What is done about a failed run."""

import pytest

from consumer.worker.retry_policy import (
    LONGEST_WAIT_HERE_S,
    Fail,
    Requeue,
    RetryPolicy,
    backoff,
)
from core.errors import (
    BlockedAddress,
    ConnectFailed,
    DependencyUnavailable,
    FailureCode,
    ImageFailure,
    NotFound,
    OriginError,
    RateLimited,
)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ConnectFailed(), True),
        (OriginError(retry_after=2), True),
        (RateLimited(retry_after=2.5), False),
        (NotFound(), False),
        (DependencyUnavailable("dynamodb"), False),
        (ValueError("ours"), False),
    ],
)
def test_only_a_short_wait_is_waited_here(error: BaseException, expected: bool) -> None:
    """A wait of over 2 s would let one slow host fill the slots."""
    assert RetryPolicy(3).retry_here(error, attempts=1) is expected
    assert RetryPolicy(3, 30).retry_here(error, attempts=1) is expected


@pytest.mark.parametrize("failure", [NotFound(), BlockedAddress()])
def test_a_permanent_failure_ends_the_request_at_its_first_attempt(failure: ImageFailure) -> None:
    """Asking again cannot help."""
    assert RetryPolicy(3, 30).decide(failure, attempts=1) == Fail(failure, 1)


def test_a_transient_failure_ends_the_request_once_attempts_are_spent() -> None:
    """The third attempt is the last."""
    failure = OriginError()
    assert RetryPolicy(3, 30).decide(failure, attempts=3) == Fail(failure, 3)


def test_a_long_wait_gives_the_message_back_with_its_attempts() -> None:
    """The delayed message carries the count, so that attempts stay bounded."""
    verdict = RetryPolicy(3, 60).decide(RateLimited(retry_after=30), attempts=1)
    assert verdict == Requeue(30, 1, "rate_limited")


@pytest.mark.parametrize(
    ("max_attempts", "delay", "here"),
    [
        (3, 30, [True, False, False]),
        (3, 0, [True, True, False]),
        (2, 30, [False, False]),
        (1, 30, [False]),
        (5, 30, [True, False, False, False, False]),
    ],
)
def test_which_attempts_follow_at_once(max_attempts: int, delay: float, here: list[bool]) -> None:
    """The second, unless it is the last; without a delay all of them."""
    policy = RetryPolicy(max_attempts, delay)
    made = range(1, max_attempts + 1)
    assert [policy.retry_here(OriginError(), attempts=attempts) for attempts in made] == here


def delays(policy: RetryPolicy, failure: ImageFailure, attempts: int) -> list[float]:
    verdicts = [policy.decide(failure, attempts=attempts) for _ in range(200)]
    assert all(isinstance(verdict, Requeue) for verdict in verdicts)
    return [verdict.delay for verdict in verdicts if isinstance(verdict, Requeue)]


@pytest.mark.parametrize(("max_attempts", "attempts"), [(3, 2), (2, 1), (5, 3)])
def test_a_late_attempt_is_made_half_a_minute_later(max_attempts: int, attempts: int) -> None:
    """Time for an origin to start again; spread, or all that failed together would come back together."""
    waits = delays(RetryPolicy(max_attempts, 30), OriginError(), attempts)
    assert 20 <= min(waits) < 23
    assert 37 < max(waits) <= 40


def test_a_late_attempt_is_no_earlier_than_the_origin_asks_for() -> None:
    """Nor earlier than it would be without its asking: a short wait may be one too short."""
    assert set(delays(RetryPolicy(3, 30), RateLimited(retry_after=100), 2)) == {100}
    assert min(delays(RetryPolicy(3, 30), RateLimited(retry_after=3), 2)) >= 20


def test_an_unexpected_fault_is_tried_again_and_then_ends_the_request() -> None:
    """Every request ends, also one that meets a bug of ours on each run."""
    policy = RetryPolicy(3)
    first = policy.decide_unexpected(attempts=0)
    assert isinstance(first, Requeue)
    assert first.attempts == 1
    last = policy.decide_unexpected(attempts=2)
    assert isinstance(last, Fail)
    assert last.failure.code is FailureCode.INTERNAL


def test_the_wait_before_another_attempt_grows_and_is_spread() -> None:
    """Doubling from 0.2 s to the longest wait here, each drawn from nothing up to that."""
    for made, ceiling in ((1, 0.2), (2, 0.4), (3, 0.8), (10, LONGEST_WAIT_HERE_S)):
        waits = [backoff(made, retry_after=None) for _ in range(200)]
        assert 0 <= min(waits) < ceiling / 4
        assert ceiling * 3 / 4 < max(waits) <= ceiling


def test_the_wait_before_another_attempt_is_the_origins_where_that_is_longer() -> None:
    """A short Retry-After counts as a long one does; a shorter one than ours changes nothing."""
    assert {backoff(1, retry_after=1.5) for _ in range(200)} == {1.5}
    waits = [backoff(4, retry_after=0.1) for _ in range(200)]
    assert 0.1 <= min(waits) < max(waits)
