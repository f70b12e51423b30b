"""The retry policy: decides what follows a failed run. Pure.

permanent failure                          fail
transient, attempts spent                  fail
transient, the origin asks for a long wait requeue, delayed
transient, the first attempt of several    retry here after a short wait, or after the origin's Retry-After
transient otherwise                        requeue, delayed, so that a temporary fault has time to end
the host gets no request at present        requeue; this counts as no attempt. After the patience with the host: fail if
                                           it has accepted nothing for a time; count a refusal as an attempt
an error in our own code                   requeue, one attempt counted; then fail
a requeue that ends after `not_after`      fail

Servers store `not_after`, and each consumer compares it with its own clock. So it is as exact as the clocks of
the caller and the consumer agree.
"""

from dataclasses import dataclass

from consumer.fetching.limits.host_customer import HostBusy
from core.errors import (
    Expired,
    ImageFailure,
    Internal,
    PermanentFailure,
    Timeout,
    TooSlow,
    TransientFailure,
)
from core.resilience.backoff import Backoff

LONGEST_WAIT_HERE_S = 2.0
"""For a longer wait the message is requeued, so that one slow host does not fill the slots."""
_BACKOFF = Backoff(0.2, LONGEST_WAIT_HERE_S)
INTERNAL_DELAY_S = 5.0
INTERNAL_REASON = "internal"
SILENT_PATIENCE_S = 600.0
"""The longest patience with a host that does not answer at all. One that refuses requests is expected to accept them
later."""
NO_SUCCESS_S = 300.0
"""A host that accepted a request within this time fails none: it may serve a long backlog slowly."""


@dataclass(frozen=True, slots=True)
class Requeue:
    """`delay` is in seconds."""

    delay: float
    attempts: int
    reason: str


@dataclass(frozen=True, slots=True)
class Fail:
    failure: ImageFailure
    attempts: int


Decision = Requeue | Fail


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often an origin is asked, and how long it has to recover.

    max_attempts: attempts in all.
    delay: seconds before each attempt after the second; a restart of the origin fits into it. The last attempt always
        comes after the delay. 0 makes all attempts at once.
    patience: seconds since a request became PENDING, for which it waits for a host that refuses requests or does not
        answer.
    """

    max_attempts: int
    delay: float = 0
    patience: float = 3_600

    def retry_here(self, error: BaseException, *, attempts: int) -> bool:
        """Return whether another attempt may follow in this run, after a backoff of up to 2 s.

        `attempts` counts all attempts made for the request.
        """
        return (
            isinstance(error, TransientFailure)
            and attempts < self.max_attempts
            and not self._is_delayed_attempt(attempts)
            and (error.retry_after or 0) <= LONGEST_WAIT_HERE_S
        )

    def decide(self, failure: ImageFailure, *, attempts: int) -> Decision:
        """Decide about a failure that `retry_here` does not retry. `attempts` includes the failed one."""
        if isinstance(failure, PermanentFailure) or attempts >= self.max_attempts:
            return Fail(failure, attempts)
        delay = failure.retry_after or 0.0
        if self._is_delayed_attempt(attempts):
            # Not full jitter: the origin needs this time to restart.
            delayed = Backoff.between(2 / 3 * self.delay, 4 / 3 * self.delay)
            delay = max(delay, delayed.delay(attempts))
        return Requeue(delay, attempts, failure.code.lower())

    def decide_busy(self, busy: HostBusy, *, attempts: int, pending: float) -> Decision:
        """Decide about a fetch that its host's condition prevented. `pending` is in seconds, 0 if it is unknown."""
        failure = busy.failure
        if failure is None:
            return Requeue(busy.retry_after, attempts, busy.reason)
        patience = self.patience
        if isinstance(failure, Timeout | TooSlow):
            patience = min(patience, SILENT_PATIENCE_S)
        if pending >= patience:
            if busy.failing_s >= min(patience, NO_SUCCESS_S):
                return Fail(failure, attempts)
            if busy.refused:
                # The host accepts others: it may refuse this URL for ever.
                attempts += 1
                if attempts >= self.max_attempts:
                    return Fail(failure, attempts)
        return Requeue(busy.retry_after, attempts, busy.reason)

    def decide_unexpected(self, *, attempts: int) -> Decision:
        """Decide about an exception that is no ImageFailure: an error in our code, which may be temporary."""
        spent = attempts + 1
        if spent >= self.max_attempts:
            return Fail(Internal(), spent)
        return Requeue(INTERNAL_DELAY_S, spent, INTERNAL_REASON)

    def _is_delayed_attempt(self, attempts: int) -> bool:
        """Return whether the attempt that follows `attempts` attempts waits for `delay`."""
        return self.delay > 0 and (attempts > 1 or attempts + 1 == self.max_attempts)


def backoff(made: int, *, retry_after: float | None) -> float:
    """Return the seconds to wait after `made` attempts of this run: exponential, with full jitter.

    At least `retry_after`, the seconds of the origin's Retry-After (RFC 9110, section 10.2.3).
    """
    return max(_BACKOFF.delay(made), retry_after or 0)


def is_expired(not_after: int, now: int) -> bool:
    """Return whether no fetch may begin at `now`. Times are in milliseconds since the epoch; 0 is no limit."""
    return bool(not_after) and now > not_after


def limit_requeue(decision: Decision, not_after: int, now: int) -> Decision:
    """Return a failure in place of a requeue whose delay ends after `not_after`: no attempt could follow."""
    match decision:
        case Requeue(delay, attempts, _) if is_expired(not_after, now + int(delay * 1_000)):
            return Fail(Expired(), attempts)
        case _:
            return decision
