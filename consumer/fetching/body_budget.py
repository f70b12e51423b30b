"""Who may reserve how many bytes for a body that is about to arrive."""

import contextlib
from collections.abc import AsyncIterator

from consumer.byte_budget import ByteBudget, Reservation

SMALL_BODY_BYTES = 1_024 * 1_024
"""A body that declares no more than this waits for no large one."""


class BodyReservation:
    """Bytes for one body, until it is received, and for what arrived of it from then on."""

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

    @contextlib.asynccontextmanager
    async def reserve(self, declared: int | None) -> AsyncIterator[BodyReservation]:
        """Hold bytes for a body of the declared size, or of any; waits for them on entry."""
        size = self._max_bytes if declared is None else declared
        async with contextlib.AsyncExitStack() as held:
            bulk = None
            if declared is None or declared > SMALL_BODY_BYTES:
                # First by all, and nobody waits for it with bytes in hand: no circle.
                bulk = await held.enter_async_context(self._bulk.reserve(size))
            body = await held.enter_async_context(self._bytes.reserve(size))
            yield BodyReservation(body, bulk)
