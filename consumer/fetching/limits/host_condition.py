"""What one customer's requests have shown of a host: the rate that it accepts, and whether it answers. Pure."""

import math
from collections.abc import Callable
from enum import Enum

from consumer.fetching.limits.host_rate import HostRate
from core.errors import (
    BlockedAddress,
    ConnectFailed,
    DnsFailed,
    ImageFailure,
    OriginError,
    RateLimited,
    Timeout,
    TlsFailed,
    TooSlow,
)
from core.resilience.backoff import Backoff
from core.resilience.circuit_breaker import CircuitBreaker

MAX_TIMEOUTS = 3
"""Time-outs in a row after which a host counts as hung."""
KEPT_S = 1_000.0
"""A condition is forgotten after this time without a request: each request that was deferred has come back before."""
_PROBE_INTERVAL = Backoff(5.0, 300.0, floor=0.5)
"""A probe may hold a slot for the whole time limit of a fetch."""


class Answer(Enum):
    """What became of one request to a host."""

    UNSENT = "unsent"
    """Nothing was sent, so it says nothing about the host."""
    ACCEPTED = "accepted"
    """The host answered. A 404 is an answer."""
    REFUSED = "refused"
    """The host asks for fewer requests, or for none at present."""
    TIMED_OUT = "timed out"
    FAILED = "failed"
    """Another fault of the host: no refusal, no time-out."""


def answer_of(failure: ImageFailure) -> Answer:
    """Return how a host answered a request that ended with `failure`."""
    match failure:
        case RateLimited():
            return Answer.REFUSED
        case OriginError():
            return Answer.FAILED if failure.retry_after is None else Answer.REFUSED
        case Timeout() | TooSlow():
            return Answer.TIMED_OUT
        case BlockedAddress() | ConnectFailed() | DnsFailed() | TlsFailed():
            return Answer.FAILED
        case _:
            return Answer.ACCEPTED


class HostCondition:
    """The condition of one host as one customer's requests found it. `record` updates it.

    failure: that of the host's last refusal or time-out, None after it accepted a request.
    `clock` returns seconds, those of all times here.
    """

    __slots__ = ("_breaker", "_clock", "_failing_since", "_timeouts", "_used_at", "failure", "rate")

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._used_at = clock()
        self.rate = HostRate(self._used_at)
        self.failure: ImageFailure | None = None
        self._failing_since = math.inf
        self._timeouts = 0
        self._breaker: CircuitBreaker | None = None

    @property
    def restricted(self) -> bool:
        """Whether a request may have to wait, because of the host's earlier answers."""
        return self.rate.limited or self.hung

    @property
    def hung(self) -> bool:
        """Whether the host did not answer several times in a row, and no probe has succeeded since."""
        return self._breaker is not None and not self._breaker.closed

    @property
    def closed(self) -> bool:
        """Whether the host gets no requests at present, because it refused one."""
        return self.rate.closed_until > self._clock()

    @property
    def opens_in(self) -> float:
        """Seconds until the host may get a request."""
        trial = 0.0 if self._breaker is None else self._breaker.trial_in_s
        return max(trial, self.rate.closed_until - self._clock(), 0.0)

    @property
    def failing_s(self) -> float:
        """Seconds since the first refusal or time-out after which the host has accepted nothing; 0 if there is none."""
        return max(0.0, self._clock() - self._failing_since)

    def is_kept(self, now: float) -> bool:
        """Return whether the condition must outlast a moment without requests."""
        return (self.failure is not None or self.restricted) and now - self._used_at < KEPT_S

    def may_probe(self) -> bool:
        """Return whether a request may be sent to a hung host. It is the only one until its end."""
        return self._breaker is None or self._breaker.allow()

    def record(
        self, answer: Answer, *, sent_at: float, failure: ImageFailure | None = None, probe: bool
    ) -> None:
        """Record how a request ended. `probe`: whether it was sent although the host was hung."""
        now = self._used_at = self._clock()
        match answer:
            case Answer.ACCEPTED:
                self.rate.record_accepted(now, sent_at=sent_at)
                self.failure = None
                self._failing_since = math.inf
                self._close()
            case Answer.REFUSED:
                retry_after = None if failure is None else failure.retry_after
                self.rate.record_refused(now, sent_at=sent_at, retry_after=retry_after)
                self._fail(failure, now)
                self._close()
            case Answer.TIMED_OUT:
                self._timeouts += 1
                self._fail(failure, now)
                if probe or self._timeouts >= MAX_TIMEOUTS:
                    self._open()
            case Answer.FAILED if probe:
                self._close()  # The host has another fault now.
            case _:
                pass

    def _close(self) -> None:
        self._timeouts = 0
        if self._breaker is not None:
            self._breaker.record_success()

    def _fail(self, failure: ImageFailure | None, now: float) -> None:
        # A new one: that of the request has a traceback, which keeps what it has read of its body.
        self.failure = Timeout() if failure is None else type(failure)(failure.detail)
        self._failing_since = min(self._failing_since, now)

    def _open(self) -> None:
        if self._breaker is None:
            self._breaker = CircuitBreaker(_PROBE_INTERVAL, clock=self._clock)
        self._breaker.record_failure()
