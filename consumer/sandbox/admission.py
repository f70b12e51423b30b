"""Limits the expensive images in this process, so that they leave its slots and the bytes of bodies to the others."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from consumer.fetching.host_limiter import HostBusy, HostLimiter
from core.errors import ImageServiceError

_DECODERS = "decoders"
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

    The decoders are limited as a host is: a few images wait here, the others are deferred. They come back one after
    another, at the rate at which images are decoded.
    """

    def __init__(self, places: int) -> None:
        self._limiter = HostLimiter(places, max_wait=_MAX_WAIT_S)

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """Hold a place in this block. Raises DecodersBusy, at once or after 1 s."""
        try:
            slot = await self._limiter.acquire(_DECODERS)
        except HostBusy as busy:
            raise DecodersBusy(busy.retry_after) from None
        try:
            yield
        finally:
            self._limiter.release(slot)

    async def wait_for_turn(self) -> None:
        """Wait until a place is free, and leave it free: nothing holds one during a fetch. Raises as `place` does."""
        try:
            slot = await self._limiter.acquire(_DECODERS)
        except HostBusy as busy:
            raise DecodersBusy(busy.retry_after) from None
        self._limiter.release(slot, served=False)
