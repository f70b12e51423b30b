"""Sends one request over a connection and reads its response."""

import asyncio
import contextlib
from dataclasses import dataclass

import aiohttp
from multidict import MultiMapping

from core.aiohttp_internals import Connection, HttpProcessingError, ResponseHandler, StreamWriter

_INTERIM = range(100, 200)

_COPIED_BYTES = 64 * 1024
_SLICE_BYTES = 256 * 1024
"""Bytes of a body that are written to a connection at a time. Most images are one slice, which needs no task that waits
for the connection. A connection that accepts less than a slice within the read timeout is too slow."""


@dataclass(frozen=True, slots=True)
class Response:
    """Header names are case-insensitive."""

    status: int
    headers: MultiMapping[str]
    body: bytes


async def send_request(
    connection: Connection,
    head: bytes,
    body: bytes,
    *,
    read_timeout: float,
    has_content: bool = True,
) -> Response:
    """Send a request, read its response, and release or close the connection.

    `read_timeout` is the number of seconds that may pass without a byte sent or received; ServerTimeoutError follows.
    has_content: whether the response can have a body. That to a HEAD has none, whatever its length says (RFC 9110,
    section 9.3.2).
    Raises aiohttp's ClientError.
    """
    try:
        response = await _send(
            connection.protocol, head, body, read_timeout, has_content=has_content
        )
    except HttpProcessingError as error:
        abort(connection)
        raise aiohttp.ClientPayloadError("the answer is not HTTP") from error
    except BaseException:
        abort(connection)
        raise
    _release(connection)
    return response


def abort(connection: Connection) -> None:
    """Close at once and drop unsent bytes: no limit would count a connection that still sends."""
    if connection.protocol is not None:
        connection.protocol.abort()
    connection.close()


async def _send(
    protocol: ResponseHandler | None,
    head: bytes,
    body: bytes,
    read_timeout: float,
    *,
    has_content: bool,
) -> Response:
    # `should_close` is also true if bytes arrived before the request.
    if protocol is None or protocol.transport is None or protocol.should_close:
        raise aiohttp.ServerDisconnectedError
    protocol.set_response_params(
        skip_payload=not has_content,
        read_until_eof=True,
        auto_decompress=False,
        read_timeout=read_timeout,
    )
    view = memoryview(body)
    # Together, because two writes are two packets. Only a small body is copied for that.
    if len(body) <= _COPIED_BYTES:
        protocol.transport.write(head + body)
    else:
        protocol.transport.writelines((head, view[:_SLICE_BYTES]))
    protocol.start_timeout()
    if len(body) <= _SLICE_BYTES:
        return await _read_response(protocol)
    sending = asyncio.create_task(_send_rest(protocol, view[_SLICE_BYTES:]))
    try:
        return await _read_response(protocol)
    finally:
        if not sending.done():
            sending.cancel()
            protocol.force_close()


async def _send_rest(protocol: ResponseHandler, rest: memoryview) -> None:
    """Write the body in slices: each slice that the connection accepts restarts the read timeout."""
    writer = StreamWriter(protocol, asyncio.get_running_loop())
    # The reader of the response gets the error of a lost connection.
    with contextlib.suppress(ConnectionError):
        for start in range(0, len(rest), _SLICE_BYTES):
            await writer.drain()
            if protocol.transport is None or protocol.transport.is_closing():
                return
            protocol.transport.write(rest[start : start + _SLICE_BYTES])
            protocol.start_timeout()


async def _read_response(protocol: ResponseHandler) -> Response:
    while True:
        message, content = await protocol.read()
        if message.code not in _INTERIM:
            # A small body arrives with its head.
            body = content.read_nowait() if content.is_eof() else await content.read()
            return Response(message.code, message.headers, body)


def _release(connection: Connection) -> None:
    protocol = connection.protocol
    if (
        protocol is None
        or protocol.should_close
        or protocol.transport is None
        or protocol.transport.get_write_buffer_size()
    ):
        # If the service answered before it had the whole body, the rest would precede the next request.
        abort(connection)
    else:
        connection.release()
