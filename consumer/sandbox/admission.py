"""Limits the expensive images in this process, so that they leave its slots and the bytes of bodies to the others."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from consumer.slot_limiter import Slot, SlotLimiter, SlotsTaken
from core.errors import ImageServiceError
from core.resilience.fair_share import FairShare

_MAX_WAIT_S = 1.0


class DecodersBusy(ImageServiceError):
    """Enough expensive images are decoded or wait for it. `retry_after` is in seconds, until the next one has a place.

    It is our limit, so no attempt is spent.
    """

    def __init__(self, retry_after: float) -> None:
        super().__init__("enough expensive images are being decoded")
        self.retry_after = retry_after


class Admission:
    """As many places as images that are decoded at the same time.

    A few images wait here, the others are deferred. They come back one after another, at the rate at which images are
    decoded. There are as many places again for customers below their share, whose images wait for the next decoder.
    """

    def __init__(self, places: int) -> None:
        self._limiter = SlotLimiter("expensive images", places, max_wait=_MAX_WAIT_S)
        self._shares = FairShare(places)
        """The images that have a place or wait for one."""
        self._reserve = places

    @asynccontextmanager
    async def place(self, customer_id: str) -> AsyncIterator[None]:
        """Hold a place in this block. Raises DecodersBusy, at once or after 1 s."""
        in_reserve = self._may_use_reserve(customer_id)
        self._shares.hold(customer_id)
        self._reserve -= in_reserve
        slot: Slot | None = None
        try:
            if not in_reserve:
                slot = await self._acquire()
            yield
        finally:
            self._shares.release(customer_id)
            self._reserve += in_reserve
            if slot is not None:
                self._limiter.release(slot)

    async def wait_for_turn(self, customer_id: str) -> None:
        """Wait until a place is free, and leave it free: nothing holds one during a fetch. Raises as `place` does."""
        if not self._may_use_reserve(customer_id):
            self._limiter.release(await self._acquire(), served=False)

    def _may_use_reserve(self, customer_id: str) -> bool:
        below = self._shares.held_by(customer_id) < self._shares.share(customer_id)
        return below and self._reserve > 0 and not self._limiter.is_free

    async def _acquire(self) -> Slot:
        try:
            return await self._limiter.acquire()
        except SlotsTaken as taken:
            raise DecodersBusy(taken.retry_after) from None
