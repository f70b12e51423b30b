"""Failures of a fetch whose connection or response breaks."""

import asyncio
import ssl
import struct
from collections.abc import AsyncIterator
from ipaddress import ip_network
from pathlib import Path
from socket import SO_LINGER, SOL_SOCKET

import pytest

from consumer.fetching.fetcher import Fetcher, FetchPolicy
from consumer.fetching.http.bounded_handler import SLICE_BYTES
from core.errors import (
    BadResponse,
    BrokenResponse,
    ConnectFailed,
    DnsFailed,
    ImageFailure,
    TlsFailed,
)
from harness.origin import origin
from harness.raw_origin import Script, TableResolver, raw_origin, read_until_closed, respond
from harness.reserved_port import closed_port

UNTRUSTED = Path(__file__).parents[1] / "vectors" / "untrusted.pem"


@pytest.fixture
async def fetcher() -> AsyncIterator[Fetcher]:
    policy = FetchPolicy(allowed_networks=(ip_network("127.0.0.1/32"),))
    fetcher = Fetcher(policy, resolver=TableResolver({}))
    yield fetcher
    await fetcher.close()


async def get(fetcher: Fetcher, url: str) -> None:
    with await fetcher.fetch(url):
        pass


async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Close with an RST instead of a FIN."""
    await reader.readuntil(b"\r\n\r\n")
    linger_no_time = struct.pack("ii", 1, 0)
    writer.get_extra_info("socket").setsockopt(SOL_SOCKET, SO_LINGER, linger_no_time)


@pytest.mark.parametrize(
    ("script", "failure"),
    [
        (reset, ConnectFailed),
        (respond(), ConnectFailed),
        (respond(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort"), BrokenResponse),
        (respond(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nsh"), BrokenResponse),
        (respond(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n"), BrokenResponse),
        (respond(b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n"), BadResponse),
        (respond(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 80_000 + b"\r\n\r\n"), BadResponse),
        (respond(b"SSH-2.0-OpenSSH_9.6\r\n\r\n"), BadResponse),
    ],
    ids=[
        "reset",
        "hangs-up",
        "short",
        "short-chunk",
        "bad-chunk",
        "bad-length",
        "long-header",
        "not-http",
    ],
)
async def test_a_broken_response_becomes_a_failure(
    fetcher: Fetcher, script: Script, failure: type[ImageFailure]
) -> None:
    """Resets and invalid responses are failures of the image, never errors of the worker."""
    async with raw_origin(script) as origin:
        with pytest.raises(ImageFailure) as raised:
            await get(fetcher, origin.url)
    assert type(raised.value) is failure
    assert "127.0.0.1" not in str(raised.value)


async def malformed_after_much(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Begin a body longer than one slice, break its framing, and keep the connection open."""
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    writer.write(b"%x\r\n%b\r\nxyz\r\n" % (4 * SLICE_BYTES, b"p" * 4 * SLICE_BYTES))
    await read_until_closed(reader, writer)


async def test_a_body_with_broken_framing_fails_at_once(fetcher: Fetcher) -> None:
    """The fetch fails at the malformed chunk and does not wait until the body is too slow."""
    async with raw_origin(malformed_after_much) as origin:
        with pytest.raises(ImageFailure) as raised:
            await get(fetcher, origin.url)
    assert type(raised.value) is BrokenResponse


async def test_a_refused_connection_is_a_failure_to_connect(fetcher: Fetcher) -> None:
    """A server may listen there later, so it is transient."""
    with closed_port() as port, pytest.raises(ConnectFailed):
        await get(fetcher, f"http://127.0.0.1:{port}/")


async def test_a_name_that_does_not_exist_is_a_failure_of_dns(fetcher: Fetcher) -> None:
    """It may exist at the next attempt, so it is transient."""
    with pytest.raises(DnsFailed):
        await get(fetcher, "http://nowhere.example/")


@pytest.fixture
def untrusted_tls() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(UNTRUSTED)
    return context


async def test_an_untrusted_certificate_is_rejected(
    fetcher: Fetcher, untrusted_tls: ssl.SSLContext
) -> None:
    """No request is sent to a server without a valid certificate."""
    async with origin(tls=untrusted_tls) as images:
        with pytest.raises(TlsFailed):
            await get(fetcher, f"https://127.0.0.1:{images.port}/p.png")
        assert images.requests == []


async def test_a_server_that_speaks_no_tls_is_a_failure_to_connect(
    fetcher: Fetcher,
) -> None:
    """A broken handshake says nothing about the certificate."""
    async with origin() as images:
        with pytest.raises(ConnectFailed):
            await get(fetcher, f"https://127.0.0.1:{images.port}/p.png")
