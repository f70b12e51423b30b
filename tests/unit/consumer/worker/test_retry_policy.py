"""The decisions of the retry policy."""

import pytest

from consumer.fetching.limits.host_customer import HostBusy
from consumer.worker.retry_policy import (
    LONGEST_WAIT_HERE_S,
    Decision,
    Fail,
    Requeue,
    RetryPolicy,
    backoff,
    is_expired,
    limit_requeue,
)
from core.errors import (
    BlockedAddress,
    ConnectFailed,
    DependencyUnavailable,
    Expired,
    FailureCode,
    ImageFailure,
    Internal,
    NotFound,
    OriginError,
    RateLimited,
    Timeout,
    TooSlow,
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
def test_only_a_transient_failure_with_a_short_wait_is_retried_here(
    error: BaseException, expected: bool
) -> None:
    """With waits of more than 2 s, one slow host would fill the slots."""
    assert RetryPolicy(3).retry_here(error, attempts=1) is expected
    assert RetryPolicy(3, 30).retry_here(error, attempts=1) is expected


@pytest.mark.parametrize("failure", [NotFound(), BlockedAddress()])
def test_a_permanent_failure_ends_the_request_at_its_first_attempt(failure: ImageFailure) -> None:
    """A retry cannot help."""
    assert RetryPolicy(3, 30).decide(failure, attempts=1) == Fail(failure, 1)


def test_a_transient_failure_ends_the_request_after_the_last_attempt() -> None:
    """The third attempt is the last."""
    failure = OriginError()
    assert RetryPolicy(3, 30).decide(failure, attempts=3) == Fail(failure, 3)


def test_a_long_wait_requeues_the_message_with_its_attempts() -> None:
    """The delayed message has the count, so the number of attempts stays limited."""
    decision = RetryPolicy(3, 60).decide(RateLimited(retry_after=30), attempts=1)
    assert decision == Requeue(30, 1, "rate_limited")


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
def test_which_attempts_are_retried_here(max_attempts: int, delay: float, here: list[bool]) -> None:
    """The second, unless it is the last; all of them without a delay."""
    policy = RetryPolicy(max_attempts, delay)
    made = range(1, max_attempts + 1)
    assert [policy.retry_here(OriginError(), attempts=attempts) for attempts in made] == here


def delays(policy: RetryPolicy, failure: ImageFailure, attempts: int) -> list[float]:
    decisions = [policy.decide(failure, attempts=attempts) for _ in range(200)]
    assert all(isinstance(decision, Requeue) for decision in decisions)
    return [decision.delay for decision in decisions if isinstance(decision, Requeue)]


@pytest.mark.parametrize(("max_attempts", "attempts"), [(3, 2), (2, 1), (5, 3)])
def test_a_delayed_attempt_is_made_after_the_delay_with_jitter(
    max_attempts: int, attempts: int
) -> None:
    """Time for an origin to restart. Jitter spreads messages that failed together."""
    waits = delays(RetryPolicy(max_attempts, 30), OriginError(), attempts)
    assert 20 <= min(waits) < 23
    assert 37 < max(waits) <= 40


def test_a_delayed_attempt_respects_retry_after() -> None:
    """A Retry-After shorter than the delay changes nothing."""
    assert set(delays(RetryPolicy(3, 30), RateLimited(retry_after=100), 2)) == {100}
    assert min(delays(RetryPolicy(3, 30), RateLimited(retry_after=3), 2)) >= 20


def test_an_unexpected_error_is_retried_and_then_ends_the_request() -> None:
    """Every request ends, even if each run meets a bug."""
    policy = RetryPolicy(3)
    first = policy.decide_unexpected(attempts=0)
    assert isinstance(first, Requeue)
    assert first.attempts == 1
    last = policy.decide_unexpected(attempts=2)
    assert isinstance(last, Fail)
    assert last.failure.code is FailureCode.INTERNAL


def test_the_backoff_grows_and_has_full_jitter() -> None:
    """The ceiling doubles from 0.2 s to LONGEST_WAIT_HERE_S."""
    for made, ceiling in ((1, 0.2), (2, 0.4), (3, 0.8), (10, LONGEST_WAIT_HERE_S)):
        waits = [backoff(made, retry_after=None) for _ in range(200)]
        assert 0 <= min(waits) < ceiling / 4
        assert ceiling * 3 / 4 < max(waits) <= ceiling


def test_the_backoff_is_at_least_retry_after() -> None:
    """A Retry-After shorter than the backoff changes nothing."""
    assert {backoff(1, retry_after=1.5) for _ in range(200)} == {1.5}
    waits = [backoff(4, retry_after=0.1) for _ in range(200)]
    assert 0.1 <= min(waits) < max(waits)


def held_back(failure: ImageFailure | None, failing_s: float, *, refused: bool = False) -> HostBusy:
    return HostBusy(failure=failure, failing_s=failing_s, refused=refused)


@pytest.mark.parametrize(
    ("busy", "pending", "attempts", "expected"),
    [
        (held_back(None, 0), 9_999, 0, None),
        (held_back(RateLimited(), 9_999, refused=True), 3_599, 2, None),
        (held_back(RateLimited(), 9_999, refused=True), 0, 2, None),
        (held_back(RateLimited(), 300), 3_600, 0, 0),
        (held_back(RateLimited(), 300, refused=True), 3_600, 2, 2),
        (held_back(RateLimited(), 299), 9_999, 2, None),
        (held_back(OriginError(retry_after=5), 300), 3_600, 0, 0),
        (held_back(Timeout(), 300), 599, 0, None),
        (held_back(Timeout(), 300), 600, 1, 1),
        (held_back(TooSlow(), 300), 600, 1, 1),
        (held_back(Timeout(), 299), 9_999, 1, None),
    ],
)
def test_a_host_without_success_fails_its_requests_after_the_patience(
    busy: HostBusy, pending: float, attempts: int, expected: int | None
) -> None:
    """Otherwise a request waits, without an attempt. A host that serves others slowly fails nobody."""
    decision = RetryPolicy(4, 30, 3_600).decide_busy(busy, attempts=attempts, pending=pending)
    if expected is None:
        assert isinstance(decision, Requeue)
        assert decision.attempts == attempts
    else:
        assert decision == Fail(busy.failure or Internal(), expected)


def test_a_url_that_is_refused_for_ever_by_a_host_that_serves_others_ends() -> None:
    """After the patience each of its refusals is an attempt; those before are none."""
    policy = RetryPolicy(3, 30, 60)
    busy = HostBusy(failure=RateLimited(), failing_s=1, refused=True)
    assert policy.decide_busy(busy, attempts=0, pending=59).attempts == 0
    decisions = [policy.decide_busy(busy, attempts=made, pending=60) for made in range(3)]
    assert [each.attempts for each in decisions] == [1, 2, 3]
    assert [isinstance(each, Fail) for each in decisions] == [False, False, True]


def test_a_short_patience_needs_no_long_failure() -> None:
    """The host must have accepted nothing for as long as a request waits, 300 s at most."""
    busy = HostBusy(failure=RateLimited(), failing_s=5)
    assert isinstance(RetryPolicy(3, 30, 5).decide_busy(busy, attempts=0, pending=5), Fail)


@pytest.mark.parametrize(
    ("not_after", "now", "expired"),
    [(0, 10, False), (10, 9, False), (10, 10, False), (10, 11, True), (1, 2, True)],
)
def test_a_fetch_may_begin_up_to_the_time(not_after: int, now: int, expired: bool) -> None:
    """0 is no limit."""
    assert is_expired(not_after, now) is expired


@pytest.mark.parametrize("delay", [0.0, 1.0, 2.0])
def test_a_requeue_that_ends_in_time_is_kept(delay: float) -> None:
    decision = Requeue(delay, 1, "timeout")
    assert limit_requeue(decision, 3_000, 1_000) is decision
    assert limit_requeue(decision, 0, 1_000) is decision


def test_a_requeue_that_ends_too_late_is_a_failure() -> None:
    """At once: no attempt could follow the delay. Attempts already made are kept."""
    decision = limit_requeue(Requeue(2.5, 2, "timeout"), 3_000, 1_000)
    assert isinstance(decision, Fail)
    assert (type(decision.failure), decision.attempts) == (Expired, 2)


def test_another_failure_keeps_its_code() -> None:
    """The origin's last answer says more than that the time has passed since."""
    decision: Decision = Fail(NotFound(), 1)
    assert limit_requeue(decision, 1, 2) is decision
