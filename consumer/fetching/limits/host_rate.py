"""The rate of requests that a host accepts, learned from its refusals: 429, or 503 with Retry-After. Pure.

A refusal closes the host for a time, and limits its rate to that of the requests that it accepted in the seconds
before. After that the rate rises slowly until the host refuses again (additive increase and multiplicative decrease per
request, as TCP does: RFC 5681). Times are seconds of one clock.
"""

import math
from dataclasses import dataclass

from core.resilience.backoff import Backoff

_CLOSED = Backoff(1.0, 60.0, floor=0.9)
"""Little jitter: hosts count requests per second or minute, and an early request would be refused again."""

_WINDOW_S = 2.0
"""Accepted requests are counted over one to two windows."""
_SHORTEST_S = 1.0
"""Less time is no measure of a rate: the first requests to a host are sent together."""
_MARGIN = 0.97
_REDUCTION = 0.7
"""The most that a refusal reduces a rate."""
_FIRST_RATE = 1.0
_LOWEST_RATE = 0.1
_HIGHEST_RATE = 1_000.0
"""A host that accepts more is not limited any more."""

_RAISE = 0.04
"""Added to the rate with each accepted request: 4 % per second."""
_FAST_RAISE = 0.25
"""The same, far below a rate that the host accepted."""
_HOLD = Backoff(10.0, 80.0, floor=1.0)
"""Seconds for which a learned rate is not raised. They grow while the host refuses at the same rate again and again."""
_SAME = 0.25


@dataclass(frozen=True, slots=True)
class _Measure:
    """`accepted` requests in `seconds`, when the rate was `limit`."""

    accepted: int
    seconds: float
    limit: float

    def plus_one(self) -> "_Measure":
        return _Measure(self.accepted + 1, self.seconds, self.limit)

    @property
    def rate(self) -> float:
        """The rate that the host accepts: at most the one at which requests were sent, and not much less.

        A refusal may come soon after the last one, or be due to the requests of another process.
        """
        measured = self.accepted / self.seconds
        if self.limit < math.inf:
            return min(self.limit, max(measured, _REDUCTION * self.limit))
        return measured or _FIRST_RATE


class HostRate:
    """The rate of one host. It is not limited before the first refusal.

    `limit` is in requests per second. `closed_until` is the earliest time of the next request after a refusal. `epoch`
    counts the refusals that made `reserve`'s earlier results invalid.
    """

    __slots__ = (
        "_accepted",
        "_accepted_before",
        "_ceiling",
        "_held_until",
        "_measure",
        "_next",
        "_peers",
        "_refusals",
        "_refused_at",
        "_same_refusals",
        "_window_at",
        "closed_until",
        "epoch",
        "limit",
    )

    def __init__(self, now: float) -> None:
        self.limit = math.inf
        self.closed_until = -math.inf
        self.epoch = 0
        self._next = -math.inf
        self._refused_at = -math.inf
        self._refusals = 0
        """Refusals since a request was accepted."""
        self._measure = _Measure(0, _SHORTEST_S, math.inf)
        self._ceiling = math.inf
        self._same_refusals = 0
        self._held_until = -math.inf
        self._window_at = now
        self._accepted = self._accepted_before = 0
        self._peers = 0

    @property
    def limited(self) -> bool:
        return self.limit < math.inf

    def wait(self, now: float) -> float:
        """Return the seconds until the next request may be sent; `reserve` takes that time."""
        return max(0.0, self._next - now, self.closed_until - now)

    def reserve(self, now: float) -> float:
        """Take the next time of a request, and return the seconds until then."""
        wait = self.wait(now)
        self._next = now + wait + 1 / self.limit
        return wait

    def record_accepted(self, now: float, *, sent_at: float) -> None:
        """Record a request that the host did not refuse."""
        self._refusals = 0
        self._rotate(now)
        self._accepted += 1
        if sent_at <= self._refused_at:
            # It was sent before the refusal, and belongs to what is known about that time.
            self._learn(self._measure.plus_one())
        elif self.limited:
            self._raise(now)

    def record_refused(self, now: float, *, sent_at: float, retry_after: float | None) -> None:
        """Record a refusal. Those of requests that were sent together count as one.

        retry_after: seconds of the host's Retry-After (RFC 9110, section 10.2.3), None without one.
        """
        closed = retry_after or 0.0
        if sent_at > self._refused_at:
            self._refusals += 1
            self._refused_at = now
            closed = max(closed, _CLOSED.delay(self._refusals))
            self._learn(_Measure(*self._count(now), self.limit))
            self._hold(now + closed)
        self.closed_until = max(self.closed_until, now + closed)
        self._next = self.closed_until
        self._window_at, self._accepted, self._accepted_before = self.closed_until, 0, 0
        self.epoch += 1

    def share(self, now: float, *, peers: int, peers_rate: float, closed: float) -> None:
        """Take over what other processes have learned about the host.

        peers: how many of them have learned a rate; peers_rate: the sum of their rates. A process that begins takes an
        equal part of the sum, and the others give it that. closed: seconds for which the host is closed.
        """
        if peers and not self.limited:
            self.limit = max(_LOWEST_RATE, peers_rate / (peers + 1))
            self._ceiling = self.limit
            self._held_until = now + _HOLD.delay(1)
        elif self.limited and peers > self._peers:
            self.limit = max(_LOWEST_RATE, self.limit * (self._peers + 1) / (peers + 1))
        self._peers = peers
        if now + closed > self.closed_until:
            self.closed_until = now + closed
            if closed > 0:
                self._next = self.closed_until
                self.epoch += 1

    def _count(self, now: float) -> tuple[int, float]:
        """Return the accepted requests of the last one to two windows, and their seconds."""
        self._rotate(now)
        begin = self._window_at - (_WINDOW_S if self._accepted_before else 0.0)
        return self._accepted + self._accepted_before, max(_SHORTEST_S, now - begin)

    def _rotate(self, now: float) -> None:
        age = now - self._window_at
        if age < _WINDOW_S:
            return
        self._accepted_before = self._accepted if age < 2 * _WINDOW_S else 0
        self._accepted = 0
        self._window_at += _WINDOW_S * (age // _WINDOW_S)

    def _learn(self, measure: _Measure) -> None:
        self._measure = measure
        if measure.accepted:
            self._ceiling = measure.rate
        self.limit = max(_LOWEST_RATE, _MARGIN * measure.rate)

    def _hold(self, opens_at: float) -> None:
        """Raise the rate only some time after `opens_at`, later if the last refusal came at about the same rate."""
        before = self._measure.limit
        same = before < math.inf and abs(self.limit - before) <= _SAME * before
        self._same_refusals = self._same_refusals + 1 if same else 1
        self._held_until = opens_at + _HOLD.delay(self._same_refusals)

    def _raise(self, now: float) -> None:
        if self.limit < (1 - _SAME) * self._ceiling:
            self.limit += _FAST_RAISE
        elif now >= self._held_until:
            self.limit += _RAISE
        if self.limit > _HIGHEST_RATE:
            self.limit = math.inf
