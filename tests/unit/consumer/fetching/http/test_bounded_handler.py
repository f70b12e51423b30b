"""Limits on what arrives on a connection."""

import asyncio

import aiohttp
import pytest

from consumer.fetching.connect_guard import ConnectGuard
from consumer.fetching.http.bounded_handler import (
    MAX_QUEUED_MESSAGES,
    BoundedConnector,
    BoundedHandler,
)
from consumer.fetching.http.response_head import MAX_HEAD_BYTES, LastingDefect
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


@pytest.mark.parametrize("length", ["1000000000", "1" * 5_000, "x"])
@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified", "200 OK"])
async def test_a_declared_size_does_not_lift_the_limit_on_heads(
    handler: BoundedHandler, status: str, length: str
) -> None:
    """It is not the size of what follows if the response has no body, or another framing."""
    head = f"HTTP/1.1 {status}\r\nContent-Length: {length}\r\nTransfer-Encoding: chunked\r\n\r\n"
    handler.data_received(head.encode() + INTERIM * 10_000)
    assert len(handler) < 1_000
    assert not handler.is_connected()


async def test_a_declared_size_of_too_many_digits_is_no_response(handler: BoundedHandler) -> None:
    """Python converts no number of so many digits."""
    handler.data_received(b"HTTP/1.1 200 OK\r\nContent-Length: " + b"1" * 5_000 + b"\r\n\r\n")
    assert handler.exception() is not None
    assert not handler.is_connected()


async def test_a_body_of_declared_size_is_parsed_without_further_slices(
    handler: BoundedHandler, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The checks between slices would take longer than the parser. What follows the body is still refused."""
    checks: list[int] = []
    check = handler._check_limits

    def check_and_count(size: int) -> None:
        checks.append(size)
        check(size)

    monkeypatch.setattr(handler, "_check_limits", check_and_count)
    body = bytes(range(256)) * 1_000
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 256000\r\n\r\n"
    handler.data_received(head + body + INTERIM)
    assert len(checks) == 2
    _, content = await handler.read()
    assert await content.read() == body
    assert not handler.is_connected()


async def test_a_read_feeds_the_parser_nothing_unless_it_is_paused(
    handler: BoundedHandler, monkeypatch: pytest.MonkeyPatch
) -> None:
    """aiohttp would feed an empty chunk after each read, which takes longer than the read."""
    fed: list[bytes] = []
    receive = handler.data_received

    def receive_and_record(data: bytes) -> None:
        fed.append(data)
        receive(data)

    monkeypatch.setattr(handler, "data_received", receive_and_record)
    handler.data_received(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabc")
    _, content = await handler.read()
    assert await content.readany() == b"abc"
    handler.data_received(b"def")
    assert await content.readany() == b"def"
    assert b"" not in fed


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


CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"


@pytest.mark.parametrize(
    "received",
    [
        INTERIM + RESPONSE,
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n" + CHUNKED,
        b"\r\nHTTP/1.1 200 OK\n" + CHUNKED,
    ],
    ids=["interim", "length-twice", "length-and-chunked", "line-feeds"],
)
@pytest.mark.parametrize("size", [1, 2, 3, 7, 1_000])
async def test_a_response_may_arrive_in_pieces_of_any_size(
    handler: BoundedHandler, received: bytes, size: int
) -> None:
    """A head is repaired and parsed when it is complete."""
    for start in range(0, len(received), size):
        handler.data_received(received[start : start + size])
    if received.startswith(INTERIM):
        await handler.read()
    _, body = await handler.read()
    assert await body.read() == b"abc"
    assert handler.is_connected()


async def test_a_connection_with_a_repaired_head_is_not_reused(handler: BoundedHandler) -> None:
    """Its origin, or a proxy before it, may see the end of the response elsewhere (RFC 9112, section 6.3)."""
    handler.data_received(RESPONSE.replace(b"3", b"3, 3"))
    _, body = await handler.read()
    assert await body.read() == b"abc"
    assert not handler.become_idle()


async def test_a_head_without_end_is_not_kept(handler: BoundedHandler) -> None:
    """It is refused when it is longer than the limit, however it arrives."""
    handler.data_received(b"HTTP/1.1 200 OK\r\nX: ")
    for _ in range(MAX_HEAD_BYTES // 100 + 1):
        handler.data_received(b"x" * 100)
    assert isinstance(handler.exception(), LastingDefect)
    assert not handler.is_connected()


@pytest.mark.parametrize("line", [b"\n", b"\r\n"])
async def test_empty_lines_before_a_head_are_skipped_together(
    handler: BoundedHandler, monkeypatch: pytest.MonkeyPatch, line: bytes
) -> None:
    """A read of them costs one step, and they count like a head."""
    heads: list[bytes] = []
    monkeypatch.setattr(handler, "_feed_head", heads.append)
    handler.data_received(line * 131_072)
    assert len(heads) <= 1
    assert isinstance(handler.exception(), LastingDefect)
    assert not handler.is_connected()


async def test_a_response_may_follow_empty_lines(handler: BoundedHandler) -> None:
    """However they arrive: Chromium skips them too."""
    for piece in (b"\r", b"\n", b"\n\r\n" * 1_000 + RESPONSE):
        handler.data_received(piece)
    _, body = await handler.read()
    assert await body.read() == b"abc"


@pytest.mark.parametrize("early", [1, len(RESPONSE) - 5, len(RESPONSE)])
async def test_a_response_may_begin_before_the_request(early: int) -> None:
    """A server that is overloaded may answer a new connection at once. No other connection gets the bytes."""
    loop = asyncio.get_running_loop()
    handler, other = BoundedHandler(loop), BoundedHandler(loop)
    for each in (handler, other):
        each.connection_made(OpenTransport())
    handler.data_received(RESPONSE[:early])
    for each in (handler, other):
        each.set_response_params()
    handler.data_received(RESPONSE[early:])
    other.data_received(RESPONSE)
    for each in (handler, other):
        _, body = await each.read()
        assert await body.read() == b"abc"


async def test_a_flood_before_the_request_closes_the_connection() -> None:
    """Nothing is parsed before the request, so no more than a head is kept."""
    handler = BoundedHandler(asyncio.get_running_loop())
    handler.connection_made(OpenTransport())
    handler.data_received(INTERIM * 10_000)
    assert not handler.is_connected()


async def test_another_protocol_is_refused_at_its_first_bytes(handler: BoundedHandler) -> None:
    """Its server may wait for us to speak."""
    handler.data_received(b"SSH-2.0-OpenSSH_9.6\r\n")
    assert isinstance(handler.exception(), LastingDefect)
    assert not handler.is_connected()


@pytest.mark.parametrize("size", [1, 20_000, 150_000])
async def test_a_body_that_arrives_with_its_head_is_one_piece(
    handler: BoundedHandler, size: int
) -> None:
    """So it is not copied again when it is read."""
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n".encode()
    handler.data_received(head + bytes(size))
    _, content = await handler.read()
    assert await content.readchunk() == (bytes(size), False)
    assert content.at_eof()
