"""Origins that send bytes on an idle connection."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import aiohttp
import pytest

from consumer.fetching.fetcher import Fetcher
from core.errors import ImageFailure
from harness.raw_origin import (
    KeepAliveScript,
    Script,
    answer,
    at,
    get,
    raw_origin,
    read_until_closed,
    two_names,
)

TRUSTED_HERE = Path(__file__).parents[1] / "vectors" / "untrusted.pem"
RECEIVE_BUFFERS = 64 * 1024 * 1024
"""More bytes than the kernel buffers on both sides of a loopback connection without a reader."""


@pytest.fixture
async def fetcher() -> AsyncIterator[Fetcher]:
    async with two_names() as opened:
        yield opened


def flooding(message: bytes, then: bytes = b"") -> Script:
    """Send without a request until the client closes the connection."""

    async def flood(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        sent = 0
        piece = message
        while sent < RECEIVE_BUFFERS:
            writer.write(piece)
            sent += len(piece)
            piece = then or piece
            await writer.drain()
        raise AssertionError("an idle connection took it all")

    return flood


@pytest.mark.parametrize(
    "flood",
    [
        flooding(answer(b"forged") * 1_000),
        flooding(b"HTTP/1.1 103 Early Hints\r\n\r\n" * 1_000),
        flooding(b"HTTP/1.1 200 OK\r\nX: ", b"x" * 65_536),
        flooding(b"HTTP/1.1 200 OK\r\nContent-Length: 999999999999\r\n\r\n", b"x" * 65_536),
    ],
    ids=["answers", "interim", "head", "body"],
)
async def test_a_flood_of_an_idle_connection_closes_it(fetcher: Fetcher, flood: Script) -> None:
    """Nothing of the flood is kept, and the next fetch has a new connection."""
    origin = KeepAliveScript(flood)
    async with raw_origin(origin.script) as server:
        assert await get(fetcher, at(server.url, "/1")) == b"/1"
        await origin.misbehave()
        assert await get(fetcher, at(server.url, "/2")) == b"/2"
        assert server.connections == 2


@contextlib.asynccontextmanager
async def tls_origin(script: Script) -> AsyncIterator[str]:
    """Yield the URL of an origin that runs one script per TLS connection."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(TRUSTED_HERE)
    async with raw_origin(script, tls=context) as origin:
        yield f"https://127.0.0.1:{origin.port}/picture.png"


@pytest.fixture
def _trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make clients trust the certificate of tls_origin."""
    trusting = ssl.create_default_context(cafile=str(TRUSTED_HERE))
    monkeypatch.setattr(aiohttp.connector, "_SSL_CONTEXT_VERIFIED", trusting)


@pytest.mark.usefixtures("_trusted")
async def test_a_flood_of_an_idle_tls_connection_closes_it(fetcher: Fetcher) -> None:
    """The same rule applies to TLS connections."""
    origin, honest = KeepAliveScript(flooding(answer(b"forged") * 1_000)), KeepAliveScript()
    for each, connections in ((honest, 1), (origin, 2)):
        async with tls_origin(each.script) as url:
            assert await get(fetcher, at(url, "/1")) == b"/1"
            if each is origin:
                await origin.misbehave()
            assert await get(fetcher, at(url, "/2")) == b"/2"
            assert each.connections == connections


@contextlib.asynccontextmanager
async def plain_origin(script: Script) -> AsyncIterator[str]:
    async with raw_origin(script) as server:
        yield server.url


@pytest.mark.usefixtures("_trusted")
@pytest.mark.parametrize("served", [plain_origin, tls_origin])
async def test_a_response_sent_before_the_next_request_is_dropped(
    fetcher: Fetcher, served: Callable[[Script], AbstractAsyncContextManager[str]]
) -> None:
    """It is unread in the socket when the next fetch acquires the connection."""
    writers: list[asyncio.StreamWriter] = []
    origin = KeepAliveScript()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        await origin.script(reader, writer)

    async with served(script) as url:
        assert await get(fetcher, at(url, "/1")) == b"/1"
        # Sent at once, and the loop reads nothing before the next fetch has acquired its connection.
        writers[0].write(answer(b"forged"))
        assert await get(fetcher, at(url, "/2")) == b"/2"
        assert origin.connections == 2


async def test_a_connection_is_not_reused_after_101(fetcher: Fetcher) -> None:
    """After 101, even without a named protocol, a further response does not belong to the next fetch."""
    connections = 0

    async def switching(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await reader.readuntil(b"\r\n\r\n")
        if connections == 1:
            writer.write(b"HTTP/1.1 101 Switching Protocols\r\n\r\n")
            await reader.read(1)
            writer.write(answer(b"the first fetch's"))
            await read_until_closed(reader, writer)
            return
        writer.write(answer(b"the second fetch's"))
        await read_until_closed(reader, writer)

    async with raw_origin(switching) as server:
        with pytest.raises(ImageFailure):
            await get(fetcher, at(server.url, "/1"))
        assert await get(fetcher, at(server.url, "/2")) == b"the second fetch's"


async def test_a_response_on_an_idle_connection_is_dropped(fetcher: Fetcher) -> None:
    """A response sent while the connection is idle does not become that of the next fetch."""

    async def answer_ahead(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer(b"forged"))
        await read_until_closed(reader, writer)

    origin = KeepAliveScript(answer_ahead)
    async with raw_origin(origin.script) as server:
        assert await get(fetcher, at(server.url, "/1")) == b"/1"
        await origin.misbehave()
        assert await get(fetcher, at(server.url, "/2")) == b"/2"


@pytest.mark.parametrize(
    ("surplus", "connections"),
    [
        (answer(b"forged"), 2),
        (b"HTTP/1.1 200 OK\r\nContent-Le", 2),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nforg", 2),
        (b"H", 2),
        (b"\r\n", 1),
    ],
    ids=["whole-answer", "half-a-head", "half-a-body", "one-byte", "line-end"],
)
async def test_bytes_after_a_response_are_dropped(
    fetcher: Fetcher, surplus: bytes, connections: int
) -> None:
    """Extra bytes in the same segment close the connection. An empty line is allowed (RFC 9112, 2.2)."""
    origin = KeepAliveScript(surplus=surplus)
    async with raw_origin(origin.script) as server:
        assert await get(fetcher, at(server.url, "/1")) == b"/1"
        assert await get(fetcher, at(server.url, "/2")) == b"/2"
        assert server.connections == connections


@pytest.mark.parametrize("surplus", [b"garbage", b"\0" * 20_000], ids=["garbage", "zeros"])
async def test_invalid_bytes_after_a_response_fail_no_other_fetch(
    fetcher: Fetcher, surplus: bytes
) -> None:
    """The response before them may fail. The next request uses another connection."""
    origin = KeepAliveScript(surplus=surplus)
    async with raw_origin(origin.script) as server:
        await asyncio.gather(get(fetcher, at(server.url, "/1")), return_exceptions=True)
        assert await get(fetcher, at(server.url, "/2")) == b"/2"
