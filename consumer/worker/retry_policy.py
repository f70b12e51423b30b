"""What to do about a failed run. Pure.

permanent failure                          fail
transient, attempts spent                  fail
transient, the origin asks for a long wait give back, delayed
transient, the first attempt of several    retry here, after a short wait, the origin's own if it named one
transient otherwise                        give back, delayed, so that a passing fault has time to pass
the host is busy with our own requests     give back with the attempts spent before, and no further one
a fault of our own code                    give back, one attempt spent; then fail
"""

from dataclasses import dataclass

from core.errors import ImageFailure, Internal, PermanentFailure, TransientFailure
from core.resilience.backoff import Backoff

LONGEST_WAIT_HERE_S = 2.0
"""A longer wait gives the message back, so that one slow host does not fill the slots."""
_BACKOFF = Backoff(0.2, LONGEST_WAIT_HERE_S)
INTERNAL_DELAY_S = 5.0


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


Verdict = Requeue | Fail


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often an origin is asked, and how long it is given.

    max_attempts   attempts in all
    delay          seconds before each attempt but the first and a quick second: an origin that starts again meanwhile
                   fails nobody. The last attempt always comes after it. 0 makes all attempts at once
    """

    max_attempts: int
    delay: float = 0

    def retry_here(self, error: BaseException, *, attempts: int) -> bool:
        """Whether another attempt may follow at once, after a backoff of up to 2 s.

        `attempts` counts all that were made for the request.
        """
        return (
            isinstance(error, TransientFailure)
            and attempts < self.max_attempts
            and not self._late(attempts)
            and (error.retry_after or 0) <= LONGEST_WAIT_HERE_S
        )

    def judge(self, failure: ImageFailure, *, attempts: int) -> Verdict:
        """What follows where `retry_here` says no. `attempts` counts those that were made, this one included."""
        if isinstance(failure, PermanentFailure) or attempts >= self.max_attempts:
            return Fail(failure, attempts)
        delay = failure.retry_after or 0.0
        if self._late(attempts):
            # Not full jitter: the origin needs this time to restart.
            delayed = Backoff.between(2 / 3 * self.delay, 4 / 3 * self.delay)
            delay = max(delay, delayed.delay(attempts))
        return Requeue(delay, attempts, failure.code.lower())

    def judge_unexpected(self, *, attempts: int) -> Verdict:
        """For an exception that is nobody's: a fault of our own, which may yet be a passing one."""
        spent = attempts + 1
        if spent >= self.max_attempts:
            return Fail(Internal(), spent)
        return Requeue(INTERNAL_DELAY_S, spent, "internal")

    def _late(self, attempts: int) -> bool:
        """Whether the attempt after so many is to come late."""
        return self.delay > 0 and (attempts > 1 or attempts + 1 == self.max_attempts)


def backoff(made: int, *, asked: float | None) -> float:
    """Seconds to wait after so many attempts of this run: exponential, with full jitter.

    Never less than the `asked` seconds of the origin's Retry-After (RFC 9110, section 10.2.3).
    """
    return max(_BACKOFF.delay(made), asked or 0)
