"""How many requests one host gets from this process at a time."""

import asyncio
import contextlib
import random
from collections import OrderedDict, deque
from dataclasses import dataclass, field

from core.errors import ImageServiceError
from core.model.message import MAX_DELAY_S

# When those whom a busy host put off may come back: one turn each, as fast as the host is served. Pure.
#
# A leaky bucket by virtual scheduling (GCRA: ITU-T I.371, annex A): each turn is later than the one before by the time
# in which the host serves one request. So those put off come back one after another, and not all at once.

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


MAX_LINES = 4_096
"""Hosts whose line is remembered while none of their requests is here."""


class HostBusy(ImageServiceError):
    """The host has as many of our requests as it should, or its look-up would exceed our threads.

    Nothing was asked of it, and no attempt is spent.
    `retry_after` is in seconds, 4 to 900: until a turn in the host's line, spread so that those refused together come
    back apart.
    """

    def __init__(self, wait: float = LEAST_WAIT_S) -> None:
        """`wait` is in seconds. One as far as a line goes is shortened by up to a quarter, any other made longer."""
        super().__init__("too many requests or look-ups of this kind are under way")
        if wait >= HORIZON_S:
            self.retry_after = random.uniform(0.75, 1) * MAX_DELAY_S  # noqa: S311  spreads load, no secret
        else:
            self.retry_after = wait + random.uniform(0, SPREAD_S)  # noqa: S311  as above


@dataclass(eq=False, frozen=True, slots=True)
class Slot:
    """One of a host's slots, held `since` a time of the loop's clock, in seconds."""

    host: str
    since: float


@dataclass(slots=True)
class _Host:
    """`held` are taken, or granted to somebody whose task has yet to run."""

    line: Line
    held: set[Slot] = field(default_factory=set)
    waiting: deque[asyncio.Future[Slot]] = field(default_factory=deque)

    def age(self, now: float) -> float:
        """Mean seconds since the slots that are held were taken."""
        return sum(now - slot.since for slot in self.held) / len(self.held) if self.held else 0.0


class HostLimiter:
    """At most `limit` requests at a time to each host, first come, first served.

    Few may wait for a slot here (see Line.room), for they hold up everybody else. One more is put off at once, until
    its turn in the host's line. Turns come at the rate at which the host is served, so that a slot is there for most
    who come back in theirs. One who loses it to a newcomer gets another turn, and nothing in how it is treated depends
    on how often it lost. Each slot serves somebody, so what is put off grows fewer with each; as long as newcomers do
    not outnumber what the host serves for ever, each ends.

    A host is remembered while somebody holds or awaits one of its slots. Its line outlives that until its last turn
    has come, at most MAX_LINES of them: beyond, those that rested longest are forgotten, which only brings those in
    them back early.
    """

    def __init__(self, limit: int, *, max_wait: float) -> None:
        """`max_wait` is in seconds: a slow host must not fill the worker with waiters."""
        self._limit = limit
        self._max_wait = max_wait
        self._hosts: dict[str, _Host] = {}
        self._resting: OrderedDict[str, Line] = OrderedDict()

    def __len__(self) -> int:
        """Hosts of which somebody holds or awaits a slot."""
        return len(self._hosts)

    @property
    def resting(self) -> int:
        """Lines that are remembered beside those."""
        return len(self._resting)

    def is_free(self, host: str) -> bool:
        """Whether `acquire` would not wait."""
        entry = self._hosts.get(host)
        return entry is None or len(entry.held) < self._limit

    async def acquire(self, host: str) -> Slot:
        """Take a slot, to be given back by `release`. Raises HostBusy, at once or after `max_wait`."""
        entry, now = self._entry(host), _now()
        if len(entry.held) < self._limit:
            return _grant(entry, host)
        if len(entry.waiting) >= entry.line.room(entry.age(now)):
            raise self._put_off(host)
        turn: asyncio.Future[Slot] = asyncio.get_running_loop().create_future()
        entry.waiting.append(turn)
        try:
            async with asyncio.timeout(self._max_wait):
                return await turn
        except (TimeoutError, asyncio.CancelledError) as end:
            if turn.cancelled():
                with contextlib.suppress(ValueError):  # a release may have passed it over
                    entry.waiting.remove(turn)
                self._forget(host)
            else:  # granted, but given up before it could be used
                self.release(turn.result(), served=False)
            if isinstance(end, TimeoutError):
                raise self._put_off(host) from None
            raise

    def release(self, slot: Slot, *, served: bool = True) -> None:
        """Give a slot back, or on to the first who still waits.

        `served` says that the host was asked: the time that it took is no measure otherwise.
        """
        entry = self._hosts[slot.host]
        entry.held.remove(slot)
        if served:
            entry.line.served(_now() - slot.since)
        while entry.waiting:
            turn = entry.waiting.popleft()
            if not turn.done():
                turn.set_result(_grant(entry, slot.host))
                return
        self._forget(slot.host)

    def _entry(self, host: str) -> _Host:
        entry = self._hosts.get(host)
        if entry is None:
            line = self._resting.pop(host, None) or Line(self._limit)
            entry = self._hosts[host] = _Host(line)
        return entry

    def _put_off(self, host: str) -> HostBusy:
        entry, now = self._entry(host), _now()
        wait = entry.line.turn(now, entry.age(now))
        self._forget(host)
        return HostBusy(wait)

    def _forget(self, host: str) -> None:
        entry = self._hosts.get(host)
        if entry is None or entry.held or entry.waiting:
            return
        del self._hosts[host]
        now = _now()
        while self._resting and not next(iter(self._resting.values())).ahead(now):
            self._resting.popitem(last=False)
        if entry.line.ahead(now):
            self._resting[host] = entry.line
            if len(self._resting) > MAX_LINES:
                self._resting.popitem(last=False)


def _now() -> float:
    return asyncio.get_running_loop().time()


def _grant(entry: _Host, host: str) -> Slot:
    slot = Slot(host, _now())
    entry.held.add(slot)
    return slot
