"""What is done about a failed run."""

import pytest

from consumer.verdict import (
    LONGEST_WAIT_HERE_S,
    Fail,
    GiveBack,
    backoff,
    judge,
    judge_unexpected,
    retry_here,
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
    assert retry_here(error) is expected


@pytest.mark.parametrize("failure", [NotFound(), BlockedAddress()])
def test_a_permanent_failure_ends_the_request_at_its_first_attempt(failure: ImageFailure) -> None:
    """Asking again cannot help."""
    assert judge(failure, attempts=1, max_attempts=3) == Fail(failure, 1)


def test_a_transient_failure_ends_the_request_once_attempts_are_spent() -> None:
    """The third attempt is the last."""
    failure = OriginError()
    assert judge(failure, attempts=3, max_attempts=3) == Fail(failure, 3)


def test_a_long_wait_gives_the_message_back_with_its_attempts() -> None:
    """The delayed message carries the count, so that attempts stay bounded."""
    verdict = judge(RateLimited(retry_after=30), attempts=1, max_attempts=3)
    assert verdict == GiveBack(30, 1, "rate_limited")


def test_an_unexpected_fault_is_tried_again_and_then_ends_the_request() -> None:
    """Every request ends, also one that meets a bug of ours on each run."""
    first = judge_unexpected(attempts=0, max_attempts=3)
    assert isinstance(first, GiveBack)
    assert first.attempts == 1
    last = judge_unexpected(attempts=2, max_attempts=3)
    assert isinstance(last, Fail)
    assert last.failure.code is FailureCode.INTERNAL


def test_the_wait_before_another_attempt_grows_and_is_spread() -> None:
    """Doubling from 0.2 s to the longest wait here, each drawn from nothing up to that."""
    for made, ceiling in ((1, 0.2), (2, 0.4), (3, 0.8), (10, LONGEST_WAIT_HERE_S)):
        waits = [backoff(made, asked=None) for _ in range(200)]
        assert 0 <= min(waits) < ceiling / 4
        assert ceiling * 3 / 4 < max(waits) <= ceiling


def test_the_wait_before_another_attempt_is_the_origins_where_that_is_longer() -> None:
    """A short Retry-After counts as a long one does; a shorter one than ours changes nothing."""
    assert {backoff(1, asked=1.5) for _ in range(200)} == {1.5}
    waits = [backoff(4, asked=0.1) for _ in range(200)]
    assert 0.1 <= min(waits) < max(waits)
