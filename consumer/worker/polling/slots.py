"""The slots of a worker: how many messages a poll of a lane may receive, and which of them run. Pure.

The slots are shared by two lanes. A quarter is only for interactive messages; an eighth is only for bulk messages while
there are some; the rest is first come, first served. A poll takes slots before it receives, so that each message that
arrives has one. If a lane has none left, a poll without slots looks for customers below their share, for which there is
a reserve (core/resilience/fair_share.py).
"""

from collections.abc import Collection
from dataclasses import dataclass
from enum import Enum, auto

from core.aws.batch import MAX_BATCH
from core.model.message import Lane
from core.resilience.fair_share import FairShare

_INTERACTIVE_PART = 4
_BULK_PART = 8


class Placement(Enum):
    """The decision about a message that was received.

    RUN: it has a slot. WAIT: for a slot, because its customer is below its share, or because it was deferred too often.
    DEFER: all slots are taken, and its customer holds its share of them.
    """

    RUN = auto()
    WAIT = auto()
    DEFER = auto()


@dataclass(frozen=True, slots=True)
class Poll:
    """A receive of up to `count` messages, for which `slots` slots are taken."""

    lane: Lane
    count: int
    slots: int = 0


class Slots:
    """`places` is the number of slots that one customer alone may use in the interactive lane."""

    def __init__(self, places: int, lanes: Collection[Lane] = tuple(Lane)) -> None:
        self._places = places
        self._lanes = frozenset(lanes)
        self._shares = FairShare(places)
        self._running = dict.fromkeys(Lane, 0)
        self._polling = dict.fromkeys(Lane, 0)
        """Slots that polls hold."""
        self._busy = dict.fromkeys(Lane, False)
        """Whether the last poll of a lane received messages."""

    def running(self, lane: Lane) -> int:
        """Return the number of messages that run."""
        return self._running[lane]

    def room(self, lane: Lane) -> int:
        """Return how many slots a lane may take; 0 or less if none."""
        free = min(self._places - self._total(), self._limit(lane) - self._taken(lane))
        if lane is Lane.INTERACTIVE:
            # Its part is free for it even if bulk uses some of the reserve.
            return max(free, self._part(lane) - self._taken(lane))
        return free

    def enough(self, lane: Lane) -> int:
        """Return the number of free slots at which a poll need not wait for more of them."""
        return min(self._batch(lane), max(1, self._places // 2))

    def begin(self, lane: Lane) -> Poll | None:
        """Take slots for a poll; None if there are none. `end` returns them."""
        batch = self._batch(lane)
        if not batch:
            # An idle lane without a part of its own. Its first message runs in the reserve if there is no other slot.
            return self._without_slots(lane, 1)
        count = min(batch, self.room(lane))
        if count <= 0:
            return None
        self._polling[lane] += count
        return Poll(lane, count, count)

    def search(self, lane: Lane) -> Poll | None:
        """Return a poll that looks for customers below their share; None if not even one of them may run."""
        return self._without_slots(lane, MAX_BATCH)

    def end(self, poll: Poll, received: int) -> None:
        """Return the slots of a poll. `place` follows at once for each message that was received."""
        self._polling[poll.lane] -= poll.slots
        self._busy[poll.lane] = received > 0

    def place(
        self, lane: Lane, customer_id: str, *, deferrable: bool, has_slot: bool = False
    ) -> Placement:
        """Decide about a message that was received. RUN takes a slot, which `release` returns.

        has_slot: whether its poll held a slot for it, which `end` has just returned.
        """
        if not has_slot and self.room(lane) <= 0:
            share = self._shares.share(customer_id, of=self._limit(lane))
            if self._shares.held_by(customer_id) >= share:
                return Placement.DEFER if deferrable else Placement.WAIT
            if not self._has_reserve(lane):
                return Placement.WAIT
        self._running[lane] += 1
        self._shares.hold(customer_id)
        return Placement.RUN

    def release(self, lane: Lane, customer_id: str) -> None:
        self._running[lane] -= 1
        self._shares.release(customer_id)

    def _without_slots(self, lane: Lane, count: int) -> Poll | None:
        return Poll(lane, count) if self._has_reserve(lane) else None

    def _has_reserve(self, lane: Lane) -> bool:
        reserve = self._shares.reserve
        if self._total() >= self._places + reserve:
            return False
        if lane is Lane.INTERACTIVE:
            # Even above its limit: it may hold slots that it took while bulk had no messages.
            return True
        # Half of the reserve is left to interactive messages.
        return self._taken(lane) < self._limit(lane) + max(1, reserve // 2)

    def _taken(self, lane: Lane) -> int:
        return self._running[lane] + self._polling[lane]

    def _total(self) -> int:
        return self._taken(Lane.INTERACTIVE) + self._taken(Lane.BULK)

    def _limit(self, lane: Lane) -> int:
        """Return the slots that are not only for the other lane."""
        return self._places - self._part(_OTHER[lane])

    def _part(self, lane: Lane) -> int:
        """Return the number of slots that only this lane may take now."""
        if lane not in self._lanes:
            return 0
        if lane is Lane.INTERACTIVE:
            return self._places // _INTERACTIVE_PART
        return self._places // _BULK_PART if self._busy[lane] else 0

    def _batch(self, lane: Lane) -> int:
        """Return the most messages of a poll that holds slots; 0 for a poll without.

        The long poll of an empty queue holds only slots that the other lane may not take.
        """
        if self._busy[lane] or len(self._lanes) == 1:
            return MAX_BATCH
        return min(MAX_BATCH, self._part(lane))


_OTHER = {Lane.INTERACTIVE: Lane.BULK, Lane.BULK: Lane.INTERACTIVE}
