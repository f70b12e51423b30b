"""Reading a body within a limit of bytes and above a minimum rate."""

import asyncio

from aiohttp import ServerDisconnectedError, StreamReader

from core.errors import TooLarge, TooSlow


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
