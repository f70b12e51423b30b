"""Which decoder takes which image: one lane for cheap images, and one for expensive ones."""

import asyncio
import os
from dataclasses import dataclass
from typing import Generic, TypeVar

from core.resilience.fair_queue import FairQueue, Line
from core.runtime.loop_bound import LoopBound

D = TypeVar("D")

_AHEAD_IMAGES = 16
_AHEAD_BYTES = 128 * 1024
"""Cheap images that a decoder holds at the same time, of which it examines one. A socket buffers about this many
bytes."""


@dataclass(slots=True, eq=False)
class Slot(Generic[D]):
    """The place of one decoder, and what it holds."""

    takes_cheap: bool
    takes_expensive: bool
    decoder: D | None = None
    images: int = 0
    body_bytes: int = 0
    expensive: bool = False
    """Whether its last image was, or its present one is, expensive."""


@dataclass(slots=True, eq=False)
class _Claim(Generic[D]):
    size: int
    expensive: bool
    customer_id: str
    granted: asyncio.Future[Slot[D]]


class _Lane(Generic[D]):
    """The claims that wait, with a line for each customer that has some."""

    def __init__(self) -> None:
        self.claims = FairQueue[_Claim[D]]()
        self._lines: dict[str, Line[_Claim[D]]] = {}

    def append(self, claim: _Claim[D]) -> None:
        line = self._lines.get(claim.customer_id)
        if line is None:
            line = self._lines[claim.customer_id] = Line()
        self.claims.append(line, claim)

    def first(self) -> _Claim[D] | None:
        """Return the next claim whose image was not cancelled."""
        while self.claims.length:
            claim = self.claims.first
            if not claim.granted.cancelled():
                return claim
            self.remove_first()
        return None

    def remove_first(self) -> None:
        claim = self.claims.popleft()
        if not self._lines[claim.customer_id]:
            del self._lines[claim.customer_id]


class Lanes(LoopBound, Generic[D]):
    """Gives each image a slot. In a lane customers take turns; the images of one come in order of arrival.

    A decoder holds one expensive image, or several cheap ones: it need not wait for the worker between them, and the
    worker handles several answers at once. Cheap images fill one slot before the next, because the code and data of one
    decoder stay in the processor's cache.

    The first slot takes cheap images only, unless it is the only one. The others alternate between the lanes while both
    wait, but take cheap images only if there is a processor for them.
    """

    def __init__(self, count: int, processors: int | None = None) -> None:
        processors = processors or available_processors()
        self.slots = [
            Slot[D](takes_cheap=index < processors, takes_expensive=index > 0 or count == 1)
            for index in range(count)
        ]
        self._cheap = _Lane[D]()
        self._expensive = _Lane[D]()

    async def acquire(self, size: int, *, expensive: bool, customer_id: str = "") -> Slot[D]:
        """Wait for a place for a body of `size` bytes. `release` returns it."""
        waiting = self._expensive if expensive else self._cheap
        claim = _Claim(size, expensive, customer_id, self._loop.create_future())
        waiting.append(claim)
        self._grant()
        try:
            return await claim.granted
        except asyncio.CancelledError:
            if not claim.granted.cancelled():  # granted, but cancelled before it could be used
                self.release(claim.granted.result(), size)
            raise

    def release(self, slot: Slot[D], size: int) -> None:
        slot.images -= 1
        slot.body_bytes -= size
        self._grant()

    def _grant(self) -> None:
        """Give every claim that is next in its lane a slot, if there is one."""
        granted = True
        while granted:
            granted = False
            for lane in (self._expensive, self._cheap):
                if lane.claims.length and self._grant_next(lane):
                    granted = True

    def _grant_next(self, lane: _Lane[D]) -> bool:
        claim = lane.first()
        if claim is None:
            return False
        slot = next((slot for slot in self.slots if self._has_place(slot, claim)), None)
        if slot is None:
            return False
        lane.remove_first()
        slot.images += 1
        slot.body_bytes += claim.size
        slot.expensive = claim.expensive
        claim.granted.set_result(slot)
        return True

    def _has_place(self, slot: Slot[D], claim: _Claim[D]) -> bool:
        if claim.expensive:
            its_turn = not (slot.expensive and slot.takes_cheap and self._cheap.claims.length)
            return slot.takes_expensive and not slot.images and its_turn
        if not slot.takes_cheap:
            return False
        waiting = self._expensive.claims.length
        if slot.takes_expensive and waiting and not (slot.expensive and not slot.images):
            return False
        if not slot.images:
            return True
        within = slot.images < _AHEAD_IMAGES and slot.body_bytes + claim.size <= _AHEAD_BYTES
        return within and not slot.expensive


def available_processors() -> int:
    """Return the processors that this process may use. A container's CPU limit does not count."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
