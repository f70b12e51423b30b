"""What to do about a failed run. Pure.

permanent failure                          fail
transient, attempts spent                  fail
transient, the origin asks for a long wait give back, delayed
transient otherwise                        retry here, after a short wait, the origin's own if it named one
the host is busy with our own requests     give back with the attempts spent before, and no further one
a fault of our own code                    give back, one attempt spent; then fail
"""

import random
from dataclasses import dataclass

from core.errors import ImageFailure, Internal, PermanentFailure, TransientFailure

LONGEST_WAIT_HERE_S = 2.0
"""A longer wait gives the message back, so that one slow host does not fill the slots."""
_BACKOFF_BASE_S = 0.2
INTERNAL_DELAY_S = 5.0


@dataclass(frozen=True, slots=True)
class GiveBack:
    """`delay` is in seconds."""

    delay: float
    attempts: int
    reason: str


@dataclass(frozen=True, slots=True)
class Fail:
    failure: ImageFailure
    attempts: int


Verdict = GiveBack | Fail


def retry_here(error: BaseException) -> bool:
    """Whether another attempt may follow at once, after a backoff of up to 2 s."""
    return isinstance(error, TransientFailure) and (error.retry_after or 0) <= LONGEST_WAIT_HERE_S


def backoff(made: int, *, asked: float | None) -> float:
    """Seconds to wait after so many attempts of this run: exponential, with full jitter.

    Never less than the `asked` seconds of the origin's Retry-After (RFC 9110, section 10.2.3).
    """
    ceiling = min(LONGEST_WAIT_HERE_S, _BACKOFF_BASE_S * 2 ** (made - 1))
    return max(random.uniform(0, ceiling), asked or 0)  # noqa: S311  spreads load, no secret


def judge(failure: ImageFailure, *, attempts: int, max_attempts: int) -> Verdict:
    """`attempts` counts those that were made, this one included."""
    if isinstance(failure, PermanentFailure) or attempts >= max_attempts:
        return Fail(failure, attempts)
    return GiveBack(failure.retry_after or 0, attempts, failure.code.lower())


def judge_unexpected(*, attempts: int, max_attempts: int) -> Verdict:
    """For an exception that is nobody's: a fault of our own, which may yet be a passing one."""
    spent = attempts + 1
    if spent >= max_attempts:
        return Fail(Internal(), spent)
    return GiveBack(INTERNAL_DELAY_S, spent, "internal")
