"""Who may reserve how many bytes for a body that is about to arrive."""

from typing import Self

from consumer.byte_budget import ByteBudget, Reservation

SMALL_BODY_BYTES = 1_024 * 1_024
"""A body that declares no more than this waits for no large one."""


class BodyReservation:
    """Bytes for one body, until it is received, and for what arrived of it from then on.

    Held in its `async with` block, on entry to which they are waited for.
    """

    def __init__(self, body: Reservation, bulk: Reservation | None) -> None:
        self._body = body
        self._bulk = bulk

    @property
    def size(self) -> int:
        """Bytes that may arrive."""
        return self._body.size

    def settle(self, size: int) -> None:
        """Keep only the `size` bytes that arrived; bulk is what is still to come."""
        if self._bulk is not None:
            self._bulk.shrink(0)
        self._body.shrink(size)

    async def take(self) -> None:
        """Wait for the bytes; `settle` gives them back."""
        if self._bulk is None:
            await self._body.take()
            return
        # First by all, and nobody waits for it with bytes in hand: no circle.
        await self._bulk.take()
        try:
            await self._body.take()
        except BaseException:
            self._bulk.shrink(0)
            raise

    async def __aenter__(self) -> Self:
        await self.take()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.settle(0)


class BodyBudget:
    """A budget of bytes, of which large bodies hold at most half while they arrive.

    An origin that declares no size, or a large one, and then drips holds all of it for the total
    time of a fetch. A dozen of those would hold the whole budget, and keep small bodies waiting.
    """

    def __init__(self, capacity: int, *, max_bytes: int) -> None:
        """`max_bytes` is reserved where no size is declared, and must fit."""
        self._max_bytes = max_bytes
        self._bytes = ByteBudget(capacity)
        self._bulk = ByteBudget(max(capacity // 2, max_bytes))

    @property
    def free(self) -> int:
        """Bytes not lent."""
        return self._bytes.free

    def fits(self, declared: int | None) -> bool:
        """Whether a reservation would not wait."""
        size = self._max_bytes if declared is None else declared
        return self._bytes.fits(size) and (not _is_bulk(declared) or self._bulk.fits(size))

    def reserve(self, declared: int | None) -> BodyReservation:
        """Bytes for a body of the declared size, or of any."""
        size = self._max_bytes if declared is None else declared
        bulk = self._bulk.reserve(size) if _is_bulk(declared) else None
        return BodyReservation(self._bytes.reserve(size), bulk)


def _is_bulk(declared: int | None) -> bool:
    return declared is None or declared > SMALL_BODY_BYTES
