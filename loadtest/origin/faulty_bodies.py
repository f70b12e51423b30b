"""Faulty response bodies, under /behave/.

slow-drip?rate=N            the image at N bytes per second (10)
endless                     the image, then zeros, chunked, until the client disconnects; at most 1 GiB
oversized?bytes=N           the image, then zeros, N bytes in total; with &chunked=1 without Content-Length
short                       half of the declared length, then the connection closes
reset                       the same, with a TCP reset
hang                        no response
"""

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable

from aiohttp import web
from aiohttp.typedefs import Handler

from loadtest.origin.state import IMAGES, STOPPING

CHUNK = 64 * 1024
ENDLESS_BYTES = 1 << 30
MIN_PAUSE_S = 0.05


@web.middleware
async def abort_at_shutdown(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Abort responses in progress when the server shuts down, because some never end."""
    answer = asyncio.ensure_future(handler(request))
    stopping = asyncio.ensure_future(request.app[STOPPING].wait())
    try:
        await asyncio.wait({answer, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if not answer.done() and request.transport is not None:
            request.transport.abort()
            raise web.HTTPServiceUnavailable
        return await answer
    finally:
        answer.cancel()
        stopping.cancel()


def whole_number(text: str) -> int:
    """Parse a number of the query; 400 if it is none."""
    if not text.isdecimal():
        raise web.HTTPBadRequest(text=f"not a whole number: {text}")
    return int(text)


async def read_image(request: web.Request) -> tuple[bytes, str]:
    """Return bytes and media type of the image that the request names; 404 if there is none."""
    found = await request.app[IMAGES].read(request.query.get("picture"))
    if found is None:
        raise web.HTTPNotFound
    return found


async def _begin(request: web.Request, content_type: str, length: int | None) -> web.StreamResponse:
    response = web.StreamResponse()
    response.content_type = content_type
    if length is None:
        response.enable_chunked_encoding()
    else:
        response.content_length = length
    await response.prepare(request)
    return response


def _disconnected(request: web.Request) -> bool:
    transport = request.transport
    return transport is None or transport.is_closing()


async def _send(
    request: web.Request, response: web.StreamResponse, first: bytes, total: int
) -> web.StreamResponse:
    """Send `first`, then zeros up to `total` bytes, until the client disconnects."""
    try:
        await response.write(first[:total])
        left = total - len(first)
        while left > 0 and not _disconnected(request):
            await response.write(bytes(min(CHUNK, left)))
            left -= CHUNK
    except ConnectionError:
        return response
    return response


async def _slow_drip(request: web.Request) -> web.StreamResponse:
    body, content_type = await read_image(request)
    rate = max(1, whole_number(request.query.get("rate", "10")))
    pause = max(MIN_PAUSE_S, 1 / rate)
    chunk = max(1, round(rate * pause))
    response = await _begin(request, content_type, len(body))
    for start in range(0, len(body), chunk):
        if _disconnected(request):
            break
        try:
            await response.write(body[start : start + chunk])
        except ConnectionError:
            break
        await asyncio.sleep(pause)
    return response


async def _endless(request: web.Request) -> web.StreamResponse:
    body, content_type = await read_image(request)
    response = await _begin(request, content_type, None)
    return await _send(request, response, body, ENDLESS_BYTES)


async def _oversized(request: web.Request) -> web.StreamResponse:
    body, content_type = await read_image(request)
    total = whole_number(request.query.get("bytes", "0"))
    length = None if request.query.get("chunked") == "1" else total
    response = await _begin(request, content_type, length)
    return await _send(request, response, body, total)


async def _half(request: web.Request) -> tuple[web.StreamResponse, asyncio.Transport | None]:
    body, content_type = await read_image(request)
    response = await _begin(request, content_type, 2 * len(body))
    await response.write(body)
    return response, request.transport


async def _short(request: web.Request) -> web.StreamResponse:
    response, transport = await _half(request)
    if transport is not None:
        transport.close()
    return response


async def _reset(request: web.Request) -> web.StreamResponse:
    response, transport = await _half(request)
    if transport is not None:
        # With a linger time of zero, closing sends RST (socket(7), SO_LINGER).
        linger = struct.pack("ii", 1, 0)
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        transport.abort()
    return response


async def _hang(request: web.Request) -> web.StreamResponse:
    await request.app[STOPPING].wait()
    raise web.HTTPServiceUnavailable


BODIES: dict[str, Callable[[web.Request], Awaitable[web.StreamResponse]]] = {
    "slow-drip": _slow_drip,
    "endless": _endless,
    "oversized": _oversized,
    "short": _short,
    "reset": _reset,
    "hang": _hang,
}
