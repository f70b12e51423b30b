"""The protocol of our connections."""

import asyncio

import aiohttp
import pytest

from consumer.fetching.bounded_handler import MAX_QUEUED_MESSAGES, BoundedConnector, BoundedHandler
from consumer.fetching.connect_guard import ConnectGuard
from harness.loopback_origin import TableResolver

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"
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
    """The seam in aiohttp is where we put ours, and makes what we put there."""
    connector = BoundedConnector(TableResolver({}), ConnectGuard())
    assert "_factory" in vars(aiohttp.TCPConnector(resolver=TableResolver({})))
    assert isinstance(connector._factory(), BoundedHandler)
    await connector.close()


async def test_heads_up_to_the_limit_wait_to_be_read(handler: BoundedHandler) -> None:
    """As many as the limit are queued, and the connection goes on."""
    handler.data_received(INTERIM * MAX_QUEUED_MESSAGES)
    assert len(handler) == MAX_QUEUED_MESSAGES
    assert handler.exception() is None


async def test_one_head_over_the_limit_ends_the_connection(handler: BoundedHandler) -> None:
    """It is aborted, and whoever reads learns why."""
    handler.data_received(INTERIM * (MAX_QUEUED_MESSAGES + 1))
    assert isinstance(handler.exception(), aiohttp.ClientPayloadError)
    assert not handler.is_connected()


async def test_one_large_read_is_not_parsed_to_its_end(handler: BoundedHandler) -> None:
    """What arrives at once is cut: a quarter of a megabyte does not become ten thousand heads."""
    handler.data_received(INTERIM * 10_000)
    assert len(handler) < 1_000


@pytest.mark.parametrize("surplus", [ANSWER, INTERIM], ids=["answer", "interim"])
async def test_no_head_is_held_behind_the_answers(handler: BoundedHandler, surplus: bytes) -> None:
    """Where it comes with the answer, that is kept, and the connection is not."""
    handler.data_received(INTERIM + ANSWER + surplus)
    assert len(handler) == 2
    assert not handler.is_connected()
    await handler.read()
    _, body = await handler.read()
    assert await body.read() == b"abc"


async def test_whatever_arrives_between_two_exchanges_ends_the_connection(
    handler: BoundedHandler,
) -> None:
    """Nothing of it is parsed, and a next exchange would not see it."""
    handler.data_received(ANSWER)
    await handler.read()
    assert handler.become_idle()
    handler.data_received(b"H")
    assert len(handler) == 0
    assert not handler.is_connected()


@pytest.mark.parametrize(
    "received",
    [
        ANSWER + ANSWER,
        ANSWER + b"H",
        ANSWER + INTERIM,
        ANSWER[:-1],
        ANSWER.replace(b"1.1", b"1.0"),
        ANSWER.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"),
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
async def test_a_connection_rests_only_where_its_answer_ended_the_exchange(
    handler: BoundedHandler, received: bytes
) -> None:
    """What came beyond the answer, or could still come, may not meet the next request."""
    handler.data_received(received)
    await handler.read()
    assert not handler.become_idle()


async def test_what_arrives_after_the_end_is_dropped(handler: BoundedHandler) -> None:
    """A peer may go on sending while TLS says good-bye."""
    handler.close()
    handler.data_received(INTERIM)
    assert len(handler) == 0
