"""When those whom a busy host put off may come back: one turn each, as fast as the host is served. Pure.

A leaky bucket by virtual scheduling (GCRA: ITU-T I.371, annex A): each turn is later than the one before by the time in
which the host serves one request. So those put off come back one after another, and not all at once.
"""

from core.message import MAX_DELAY_S

LEAST_WAIT_S = 4.0
"""A shorter wait would cost more messages than it saves time."""
SPREAD_S = 4.0
"""A wait is made longer by up to this, so that the lines of many processes do not fall into step."""
HORIZON_S = MAX_DELAY_S - SPREAD_S
"""The farthest turn that is given away."""
_BRIEF_S = 0.5
_WEIGHT = 0.2
_SHORTEST_S = 0.001


class Line:
    """The line of one host that is asked `limit` things at a time. Times are seconds of one clock."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held: float | None = None
        self._next = 0.0

    def served(self, seconds: float) -> None:
        """A request held its slot for so long: a moving average, in which the last five or so count."""
        before = seconds if self._held is None else self._held
        self._held = before + _WEIGHT * (seconds - before)

    def estimate(self, age: float) -> float:
        """Seconds for which a request holds a slot: what was seen, or the mean `age` of those under way, if longer.

        The ages tell of a host that hangs before its first request has timed out.
        """
        return max(self._held or 0.0, age, _SHORTEST_S)

    def room(self, age: float) -> int:
        """How many may wait in the process: as many as are served at a time, or what is served in half a second.

        So a short list of a quick host is not put off, and a slow host's does not fill the process.
        """
        return max(self._limit, int(_BRIEF_S * self._limit / self.estimate(age)))

    def turn(self, now: float, age: float) -> float:
        """Give a turn away: seconds until it comes, at least LEAST_WAIT_S.

        HORIZON_S where all turns before that are given away. None is taken then: there will be one to give when
        whoever was sent away comes back.
        """
        at = max(now + LEAST_WAIT_S, self._next)
        if at - now >= HORIZON_S:
            return HORIZON_S
        self._next = at + self.estimate(age) / self._limit
        return at - now

    def ahead(self, now: float) -> bool:
        """Whether a turn lies in the future."""
        return self._next > now
