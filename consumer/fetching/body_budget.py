"""Who may reserve how many bytes for a body that is about to arrive."""

import asyncio
from typing import Self

from aiohttp import ServerDisconnectedError, StreamReader

from consumer.byte_budget import ByteBudget, Reservation
from core.errors import TooLarge, TooSlow

# Reading a body within a limit of bytes and above a minimum rate.


async def read_body(
    stream: StreamReader, *, max_bytes: int, min_rate: float, window: float, grace: float
) -> bytes:
    """Read to the end.

    The rate (bytes a second) is judged at the end of each `window` seconds, the first of which
    begins after `grace` seconds. Raises TooSlow, and TooLarge as soon as more than `max_bytes` have
    arrived; and aiohttp.ClientError where the body breaks off or its connection is gone. The last
    copy doubles the body, but without a pause in which another could do so too.
    """
    if stream.is_eof():
        # It came with its head, as small ones do.
        return _within(stream.read_nowait(), max_bytes)
    # One buffer: a list of the tiny chunks that an origin may choose to send outgrows any limit.
    body = bytearray()
    patience = grace + window
    while True:
        size_before = len(body)
        try:
            async with asyncio.timeout(patience):
                while chunk := await stream.readany():
                    body += chunk
                    if len(body) > max_bytes:
                        raise TooLarge(f"{max_bytes:,} bytes")
                return bytes(body)
        except TimeoutError:
            if len(body) - size_before < min_rate * window:
                raise TooSlow from None
        except RuntimeError as error:
            # aiohttp's way to say that the connection had gone before anybody read from it.
            raise ServerDisconnectedError from error
        patience = window


def _within(body: bytes, max_bytes: int) -> bytes:
    if len(body) > max_bytes:
        raise TooLarge(f"{max_bytes:,} bytes")
    return body


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
