"""Limits on what arrives on a connection."""

import asyncio

import aiohttp
import pytest

from consumer.fetching.bounded_handler import MAX_QUEUED_MESSAGES, BoundedConnector, BoundedHandler
from consumer.fetching.connect_guard import ConnectGuard
from harness.raw_origin import TableResolver

RESPONSE = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"
INTERIM = b"HTTP/1.1 103 Early Hints\r\n\r\n"


class OpenTransport(asyncio.Transport):
    """Open until it is closed or aborted."""

    def __init__(self) -> None:
        super().__init__()
        self._is_closing = False

    def is_closing(self) -> bool:
        return self._is_closing

    def close(self) -> None:
        self._is_closing = True

    def abort(self) -> None:
        self._is_closing = True


@pytest.fixture
async def handler() -> BoundedHandler:
    """A handler that awaits a response."""
    handler = BoundedHandler(asyncio.get_running_loop())
    handler.connection_made(OpenTransport())
    handler.set_response_params()
    return handler


async def test_every_connection_gets_the_bounded_handler() -> None:
    """aiohttp's private attribute still exists, and creates our handler."""
    connector = BoundedConnector(TableResolver({}), ConnectGuard())
    assert "_factory" in vars(aiohttp.TCPConnector(resolver=TableResolver({})))
    assert isinstance(connector._factory(), BoundedHandler)
    await connector.close()


async def test_heads_up_to_the_limit_are_queued(handler: BoundedHandler) -> None:
    """The connection stays open."""
    handler.data_received(INTERIM * MAX_QUEUED_MESSAGES)
    assert len(handler) == MAX_QUEUED_MESSAGES
    assert handler.exception() is None


async def test_one_head_over_the_limit_aborts_the_connection(handler: BoundedHandler) -> None:
    """The reader gets the reason."""
    handler.data_received(INTERIM * (MAX_QUEUED_MESSAGES + 1))
    assert isinstance(handler.exception(), aiohttp.ClientPayloadError)
    assert not handler.is_connected()


async def test_parsing_stops_inside_a_large_read(handler: BoundedHandler) -> None:
    """A read is parsed in slices: 256 KB do not become ten thousand heads."""
    handler.data_received(INTERIM * 10_000)
    assert len(handler) < 1_000


@pytest.mark.parametrize("extra", [RESPONSE, INTERIM], ids=["response", "interim"])
async def test_no_head_is_queued_after_the_response(handler: BoundedHandler, extra: bytes) -> None:
    """A head that arrives with the response aborts the connection. The response is kept."""
    handler.data_received(INTERIM + RESPONSE + extra)
    assert len(handler) == 2
    assert not handler.is_connected()
    await handler.read()
    _, body = await handler.read()
    assert await body.read() == b"abc"


async def test_any_byte_on_an_idle_connection_aborts_it(
    handler: BoundedHandler,
) -> None:
    """It is not parsed, and no later response contains it."""
    handler.data_received(RESPONSE)
    await handler.read()
    assert handler.become_idle()
    handler.data_received(b"H")
    assert len(handler) == 0
    assert not handler.is_connected()


@pytest.mark.parametrize(
    "received",
    [
        RESPONSE + RESPONSE,
        RESPONSE + b"H",
        RESPONSE + INTERIM,
        RESPONSE[:-1],
        RESPONSE.replace(b"1.1", b"1.0"),
        RESPONSE.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"),
        b"HTTP/1.1 200 OK\r\n\r\nabc",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
    ],
    ids=[
        "two",
        "one-and-a-byte",
        "one-and-an-interim",
        "cut",
        "1.0",
        "close",
        "unbounded",
        "upgrade",
    ],
)
async def test_a_connection_becomes_idle_only_after_a_complete_response(
    handler: BoundedHandler, received: bytes
) -> None:
    """Bytes that came after the response, or could still come, must not reach the next request."""
    handler.data_received(received)
    await handler.read()
    assert not handler.become_idle()


async def test_bytes_after_the_close_are_dropped(handler: BoundedHandler) -> None:
    """A peer may continue to send during the TLS shutdown."""
    handler.close()
    handler.data_received(INTERIM)
    assert len(handler) == 0
