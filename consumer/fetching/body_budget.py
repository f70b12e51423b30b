"""Reads a body within limits of bytes and rate, and reserves memory for bodies that arrive."""

from aiohttp import ServerDisconnectedError, StreamReader

from consumer.byte_budget import ByteBudget, Reservation
from core.errors import TooLarge, TooSlow
from core.runtime.deadline import Deadline

SMALL_BODY_BYTES = 1_024 * 1_024
"""A body that declares at most this size does not wait for a large one."""


async def read_body(
    stream: StreamReader, *, max_bytes: int, min_rate: float, window: float, grace: float
) -> bytes:
    """Read a body to its end.

    min_rate: bytes per second, measured at the end of each `window` seconds. The first window begins
        after `grace` seconds.
    The last copy doubles the memory of the body, but without an await in which another body could do
    the same.
    Raises TooSlow. Raises TooLarge as soon as more than `max_bytes` have arrived. Raises
    aiohttp.ClientError if the body breaks off or its connection is closed.
    """
    if stream.is_eof():
        # A small body arrives with its head.
        return _check_size(stream.read_nowait(), max_bytes)
    # One buffer. The allocator would keep the memory of many pieces, and of tiny ones, which the origin chooses, a list
    # would exceed any limit.
    body = bytearray()
    timeout = grace + window
    while True:
        size_before = len(body)
        try:
            with Deadline(timeout):
                while chunk := await stream.readany():
                    body += chunk
                    if len(body) > max_bytes:
                        raise TooLarge(f"{max_bytes:,} bytes")
                return bytes(body)
        except TimeoutError:
            if len(body) - size_before < min_rate * window:
                raise TooSlow from None
        except RuntimeError as error:
            # aiohttp raises this if the connection was closed before the first read.
            raise ServerDisconnectedError from error
        timeout = window


def _check_size(body: bytes, max_bytes: int) -> bytes:
    if len(body) > max_bytes:
        raise TooLarge(f"{max_bytes:,} bytes")
    return body


class BodyReservation(Reservation):
    """Bytes reserved for one body while it arrives, then for the bytes that arrived."""

    def __init__(
        self, budget: ByteBudget, size: int, customer_id: str, large: Reservation | None
    ) -> None:
        super().__init__(budget, size, customer_id)
        self._large = large

    def shrink(self, size: int) -> None:
        """Keep the `size` bytes that arrived. The body no longer counts as a large one that arrives."""
        if self._large is not None:
            self._large.shrink(0)
        super().shrink(size)

    async def acquire(self) -> None:
        if self._large is None:
            await super().acquire()
            return
        # Every large body takes this budget first, and none waits for it holding bytes: no deadlock.
        await self._large.acquire()
        try:
            await super().acquire()
        except BaseException:
            self._large.shrink(0)
            raise


class BodyBudget:
    """A budget of bytes, of which large bodies of one customer hold at most half while they arrive.

    An origin that declares no size, or a large one, and then sends slowly holds the full size until the fetch times
    out. Without the second limit, a dozen of those would hold the whole budget and make small bodies wait. The origins
    of one customer could also send all their bodies slowly, so a part is a reserve for other customers: one body of the
    largest size, if the budget is at least three times as large.
    """

    def __init__(self, capacity: int, *, max_bytes: int) -> None:
        """`max_bytes` is reserved for a body of unknown size, and must fit into `capacity`."""
        self._max_bytes = max_bytes
        reserve = min(max_bytes, (capacity - max_bytes) // 2)
        self._bytes = ByteBudget(capacity - reserve, reserve=reserve)
        self._large = ByteBudget(max(capacity // 2, max_bytes), reserve=reserve)

    @property
    def free(self) -> int:
        return self._bytes.free

    def fits(self, declared: int | None, customer_id: str = "", *, decoding: int = 0) -> bool:
        """Return whether a reservation would not wait."""
        size = self._size(declared, decoding)
        if not self._bytes.fits(size, customer_id):
            return False
        return not _is_large(declared, size) or self._large.fits(
            self._large_part(size), customer_id
        )

    def reserve(
        self, declared: int | None, customer_id: str = "", *, decoding: int = 0
    ) -> BodyReservation:
        """Create a reservation for a body of the declared size, None for an unknown size.

        decoding: memory that decoding the body takes besides. A budget without space for both is reserved as far as one
            customer may use it.
        """
        size = self._size(declared, decoding)
        large = None
        if _is_large(declared, size):
            large = self._large.reserve(self._large_part(size), customer_id)
        return BodyReservation(self._bytes, size, customer_id, large)

    def _size(self, declared: int | None, decoding: int) -> int:
        body = self._max_bytes if declared is None else declared
        return min(body + decoding, self._bytes.capacity) if decoding else body

    def _large_part(self, size: int) -> int:
        """A body that is decoded counts as one of the largest size: the reserve of other customers holds one of it."""
        return min(size, self._max_bytes)


def _is_large(declared: int | None, size: int) -> bool:
    return declared is None or size > SMALL_BODY_BYTES
