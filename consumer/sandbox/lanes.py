"""Which decoder takes which image: one lane for cheap images, and one for expensive ones."""

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import Generic, TypeVar

D = TypeVar("D")


@dataclass(slots=True, eq=False)
class Slot(Generic[D]):
    """The place of one decoder.

    takes_expensive: False for the one that keeps cheap images moving.
    runs_expensive: whether its last image was, or its present one is, expensive.
    """

    takes_expensive: bool
    decoder: D | None = None
    runs_expensive: bool = False


class Lanes(Generic[D]):
    """Gives each image a slot, in order of arrival within its lane.

    A slot that takes both lanes alternates between them while both wait. The first slot takes cheap images only, unless
    it is the only one.
    """

    def __init__(self, count: int) -> None:
        self.slots = [Slot[D](takes_expensive=index > 0 or count == 1) for index in range(count)]
        self._free = list(self.slots)
        self._cheap: deque[asyncio.Future[Slot[D]]] = deque()
        self._expensive: deque[asyncio.Future[Slot[D]]] = deque()

    async def acquire(self, *, expensive: bool) -> Slot[D]:
        """Wait for a slot. `release` returns it."""
        for slot in self._free:
            if slot.takes_expensive or not expensive:
                self._free.remove(slot)
                slot.runs_expensive = expensive
                return slot
        granted: asyncio.Future[Slot[D]] = asyncio.get_running_loop().create_future()
        waiting = self._expensive if expensive else self._cheap
        waiting.append(granted)
        try:
            slot = await granted
        except asyncio.CancelledError:
            if not granted.cancelled():  # granted, but cancelled before it could be used
                self.release(granted.result())
            raise
        return slot

    def release(self, slot: Slot[D]) -> None:
        """Give the slot to the next image, or keep it free."""
        lanes = [self._cheap]
        if slot.takes_expensive:
            lanes.insert(int(slot.runs_expensive), self._expensive)
        for lane in lanes:
            while lane:
                granted = lane.popleft()
                if not granted.cancelled():
                    slot.runs_expensive = lane is self._expensive
                    granted.set_result(slot)
                    return
        # In the order of the slots, so that cheap images use the first one before the others.
        self._free.append(slot)
        self._free.sort(key=self.slots.index)
