"""Connections to AWS: a service that misbehaves on one must not affect the next call."""

import asyncio
import ssl
from pathlib import Path

import pytest

from core.aws.http import Limits
from harness.fake_aws import (
    HANG_TIMEOUT_S,
    OK,
    http_clients_at,
    http_clients_of,
    listen,
    put,
    read_until_closed,
    request,
    send,
)

CERTIFICATE = Path(__file__).parents[1] / "vectors/untrusted.pem"
BUSY = b"HTTP/1.1 503 Slow Down\r\nContent-Length: 0\r\n\r\n"
LARGE = b"\0" * (32 * 1024 * 1024)
"""More than the kernel buffers on both sides of a connection whose peer does not read."""


@pytest.fixture
def tls(monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """A certificate for 127.0.0.1 that the clients trust."""
    monkeypatch.setenv("AWS_CA_BUNDLE", str(CERTIFICATE))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    return context


@pytest.mark.parametrize("encrypted", [False, True], ids=["plain", "TLS"])
async def test_an_early_response_leaves_no_partial_body_before_the_next_call(
    encrypted: bool, tls: ssl.SSLContext
) -> None:
    """After a 503 to the headers, the retry has a new connection. The first gets the rest of the body or nothing."""
    rest: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def serve(
        number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        if number == 1:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(BUSY)
            rest.set_result(await read_until_closed(reader))
        await request(reader)
        writer.write(OK)

    async with (
        asyncio.timeout(HANG_TIMEOUT_S),
        listen(serve, tls if encrypted else None) as url,
        http_clients_of(url, Limits()) as http,
    ):
        await put(http, LARGE)
    assert not (await rest).strip(b"\0")


async def test_a_cancelled_call_sends_no_more() -> None:
    """Even if the service continues to read."""
    begun, cancelled = asyncio.Event(), asyncio.Event()
    received: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def serve(
        _number: int, reader: asyncio.StreamReader, _writer: asyncio.StreamWriter
    ) -> None:
        await reader.readuntil(b"\r\n\r\n")
        begun.set()
        await cancelled.wait()
        received.set_result(len(await read_until_closed(reader)))

    async with asyncio.timeout(HANG_TIMEOUT_S), http_clients_at(serve) as http:
        storing = asyncio.create_task(put(http, LARGE))
        await begun.wait()
        storing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await storing
        cancelled.set()
        assert await received < len(LARGE)


async def test_an_unsolicited_response_is_discarded() -> None:
    """A 408 on an idle connection is not the response to the next call."""
    sent = asyncio.Event()

    async def serve(
        number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        await request(reader)
        writer.write(OK)
        if number == 1:
            writer.write(b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n")
            await writer.drain()
            sent.set()
            await asyncio.sleep(HANG_TIMEOUT_S)

    async with asyncio.timeout(HANG_TIMEOUT_S), http_clients_at(serve) as http:
        await send(http)
        await sent.wait()
        await send(http)
