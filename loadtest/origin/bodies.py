"""Bodies that do not come as they should, under /behave/.

slow-drip?rate=N            the picture at N bytes a second (10)
endless                     the picture, then zeros, chunked, until the client leaves; at most 1 GiB
oversized?bytes=N           the picture, then zeros, N bytes in all; with &chunked=1 the length is not told
short                       declares twice what it sends, then closes
reset                       the same, and closes with a TCP reset
hang                        takes the request and never answers
"""

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable

from aiohttp import web
from aiohttp.typedefs import Handler

from loadtest.origin.state import PICTURES, STOPPING

PIECE = 64 * 1024
ENDLESS_BYTES = 1 << 30
SHORTEST_PAUSE_SECONDS = 0.05


@web.middleware
async def ends_with_server(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Drop what is still being answered when the server shuts down: some of it would never end by itself."""
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
    """A query's number; 400 where it is none."""
    if not text.isdecimal():
        raise web.HTTPBadRequest(text=f"not a whole number: {text}")
    return int(text)


async def picture(request: web.Request) -> tuple[bytes, str]:
    """Bytes and media type of the picture that the request names; 404 where there is none."""
    found = await request.app[PICTURES].read(request.query.get("picture"))
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


def _gone(request: web.Request) -> bool:
    transport = request.transport
    return transport is None or transport.is_closing()


async def _send(
    request: web.Request, response: web.StreamResponse, first: bytes, total: int
) -> web.StreamResponse:
    """`first`, then zeros up to `total` bytes, less what the client does not wait for."""
    try:
        await response.write(first[:total])
        left = total - len(first)
        while left > 0 and not _gone(request):
            await response.write(bytes(min(PIECE, left)))
            left -= PIECE
    except ConnectionError:
        return response
    return response


async def _slow_drip(request: web.Request) -> web.StreamResponse:
    body, content_type = await picture(request)
    rate = max(1, whole_number(request.query.get("rate", "10")))
    pause = max(SHORTEST_PAUSE_SECONDS, 1 / rate)
    piece = max(1, round(rate * pause))
    response = await _begin(request, content_type, len(body))
    for start in range(0, len(body), piece):
        if _gone(request):
            break
        try:
            await response.write(body[start : start + piece])
        except ConnectionError:
            break
        await asyncio.sleep(pause)
    return response


async def _endless(request: web.Request) -> web.StreamResponse:
    body, content_type = await picture(request)
    response = await _begin(request, content_type, None)
    return await _send(request, response, body, ENDLESS_BYTES)


async def _oversized(request: web.Request) -> web.StreamResponse:
    body, content_type = await picture(request)
    total = whole_number(request.query.get("bytes", "0"))
    length = None if request.query.get("chunked") == "1" else total
    response = await _begin(request, content_type, length)
    return await _send(request, response, body, total)


async def _half(request: web.Request) -> tuple[web.StreamResponse, asyncio.Transport | None]:
    body, content_type = await picture(request)
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
        # A linger time of zero makes close send RST (socket(7), SO_LINGER).
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
