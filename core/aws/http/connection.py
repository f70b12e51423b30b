"""One request and its answer on one connection."""

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass

import aiohttp

from core.aiohttp_internals import Connection, HttpProcessingError, ResponseHandler, StreamWriter

_INTERIM = range(100, 200)

_SLICE = 64 * 1024
"""Bytes of a body that are handed to a connection at a time."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Header names are case-insensitive."""

    status: int
    headers: Mapping[str, str]
    body: bytes


async def converse(connection: Connection, head: bytes, body: bytes, *, silence: float) -> Answer:
    """Send, read the answer, and give the connection back or close it.

    `silence` is how many seconds may pass without a byte taken or given. Raises aiohttp's ClientError, of which
    silence is a ServerTimeoutError.
    """
    try:
        answer = await _ask(connection.protocol, head, body, silence)
    except HttpProcessingError as fault:
        hang_up(connection)
        raise aiohttp.ClientPayloadError("the answer is not HTTP") from fault
    except BaseException:
        hang_up(connection)
        raise
    _let_go(connection)
    return answer


def hang_up(connection: Connection) -> None:
    """Now, and without sending what is still to be sent: it would count against no limit."""
    if connection.protocol is not None:
        connection.protocol.abort()
    connection.close()


async def _ask(
    protocol: ResponseHandler | None, head: bytes, body: bytes, silence: float
) -> Answer:
    # `should_close` also tells of an answer that came while nobody had asked.
    if protocol is None or protocol.transport is None or protocol.should_close:
        raise aiohttp.ServerDisconnectedError
    protocol.set_response_params(read_until_eof=True, auto_decompress=False, read_timeout=silence)
    # Together, because apart they are two packets; of a large body no more is copied for it.
    protocol.transport.write(head + body[:_SLICE])
    protocol.start_timeout()
    if len(body) <= _SLICE:
        return await _answer(protocol)
    sending = asyncio.create_task(_send_rest(protocol, memoryview(body)[_SLICE:]))
    try:
        return await _answer(protocol)
    finally:
        if not sending.done():
            sending.cancel()
            protocol.force_close()


async def _send_rest(protocol: ResponseHandler, rest: memoryview) -> None:
    """Slice by slice: a slow connection differs from a silent one in that it takes the next."""
    writer = StreamWriter(protocol, asyncio.get_running_loop())
    # Whoever waits for the answer is told of a lost connection too.
    with contextlib.suppress(ConnectionError):
        for start in range(0, len(rest), _SLICE):
            await writer.drain()
            if protocol.transport is None or protocol.transport.is_closing():
                return
            protocol.transport.write(rest[start : start + _SLICE])
            protocol.start_timeout()


async def _answer(protocol: ResponseHandler) -> Answer:
    while True:
        message, content = await protocol.read()
        if message.code not in _INTERIM:
            return Answer(message.code, message.headers, await content.read())


def _let_go(connection: Connection) -> None:
    protocol = connection.protocol
    if (
        protocol is None
        or protocol.should_close
        or protocol.transport is None
        or protocol.transport.get_write_buffer_size()
    ):
        # Answered before it had the whole body, perhaps: what is left would go before the next request.
        hang_up(connection)
    else:
        connection.release()
