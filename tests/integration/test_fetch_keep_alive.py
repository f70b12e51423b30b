"""Connections that are reused."""

import asyncio
import contextlib
import struct
from collections.abc import AsyncIterator
from ipaddress import ip_network
from socket import SO_LINGER, SOL_SOCKET

import pytest

from consumer.fetching.fetcher import Fetcher, FetchPolicy
from core.errors import DnsFailed, ImageFailure
from harness.origin import origin, reply_with
from harness.raw_origin import (
    HANG_TIMEOUT_S,
    KeepAliveScript,
    Script,
    TableResolver,
    answer,
    at,
    get,
    raw_origin,
    read_until_closed,
    two_names,
)


@pytest.fixture
async def fetcher() -> AsyncIterator[Fetcher]:
    async with two_names() as opened:
        yield opened


async def test_a_connection_serves_one_fetch_after_another(fetcher: Fetcher) -> None:
    """One handshake is enough while every response is read to its end."""
    origin = KeepAliveScript()
    async with raw_origin(origin.script) as server:
        bodies = [await get(fetcher, at(server.url, f"/{number}")) for number in range(5)]
        assert bodies == [b"/0", b"/1", b"/2", b"/3", b"/4"]
        assert server.connections == 1


async def test_fetches_at_the_same_time_share_no_connection(fetcher: Fetcher) -> None:
    """No request is sent on a connection with an unfinished response."""
    origin = KeepAliveScript()
    async with raw_origin(origin.script) as server:
        urls = [at(server.url, f"/{number}") for number in range(6)]
        assert await asyncio.gather(*(get(fetcher, url) for url in urls)) == [
            b"/0", b"/1", b"/2", b"/3", b"/4", b"/5"
        ]  # fmt: skip
        assert server.connections == len(urls)


async def test_each_host_has_its_own_connections(fetcher: Fetcher) -> None:
    """Two names of one address are two origins. Two ports are two origins."""
    async with origin() as one, origin() as other:
        peers = set()
        for server, host in ((one, "a.example"), (one, "b.example"), (other, "a.example")):
            server.routes["/p"] = reply_with(body=b"image")
            assert await get(fetcher, server.url("/p", host=host)) == b"image"
            peers.add((server.port, host))
        assert len(fetcher._client._pool) == len(peers)


async def hang_up(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    """Close it as soon as it is idle, as a server does after its own timeout."""


async def hang_up_on_request(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    """Close it when the next request arrives."""
    await reader.readuntil(b"\r\n\r\n")


async def reset_on_request(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Close it with an RST."""
    await reader.readuntil(b"\r\n\r\n")
    linger_no_time = struct.pack("ii", 1, 0)
    writer.get_extra_info("socket").setsockopt(SOL_SOCKET, SO_LINGER, linger_no_time)


async def nonsense_on_request(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send bytes that are no response."""
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"SSH-2.0-OpenSSH_9.6\r\n\r\n")
    await read_until_closed(reader, writer)


@pytest.mark.parametrize(
    "misbehave", [hang_up, hang_up_on_request, reset_on_request, nonsense_on_request]
)
async def test_a_connection_that_broke_while_idle_costs_no_attempt(
    fetcher: Fetcher, misbehave: Script
) -> None:
    """The same fetch repeats the request on a new connection."""
    origin = KeepAliveScript(misbehave)
    async with raw_origin(origin.script) as server:
        assert await get(fetcher, at(server.url, "/1")) == b"/1"
        origin.now.set()
        assert await get(fetcher, at(server.url, "/2")) == b"/2"
        assert server.connections == 2


@contextlib.asynccontextmanager
async def impatient(reuse_timeout: float) -> AsyncIterator[Fetcher]:
    """A fetcher with a short timeout for reused connections and a long one for new connections."""
    fetcher = Fetcher(
        FetchPolicy(
            allowed_networks=(ip_network("127.0.0.1/32"),),
            reuse_timeout=reuse_timeout,
            total_timeout=HANG_TIMEOUT_S,
        )
    )
    yield fetcher
    await fetcher.close()


async def until_reuse_timeout(fetcher: Fetcher) -> None:
    """Return when a request that is sent now, on a reused connection that stays silent, has been repeated."""
    origin = KeepAliveScript(read_until_closed)
    async with raw_origin(origin.script) as server:
        await get(fetcher, at(server.url, "/1"))
        origin.now.set()
        await get(fetcher, at(server.url, "/2"))
        assert server.connections == 2


async def test_a_silent_reused_connection_costs_no_attempt() -> None:
    """A device on the way forgot the idle connection: no byte comes back, and the request is repeated."""
    origin = KeepAliveScript(read_until_closed)
    async with impatient(0.1) as fetcher, raw_origin(origin.script) as server:
        assert await get(fetcher, at(server.url, "/1")) == b"/1"
        origin.now.set()
        assert await get(fetcher, at(server.url, "/2")) == b"/2"
        assert server.connections == 2


async def test_a_slow_response_is_not_requested_again() -> None:
    """On a reused connection only the first byte has a limit. A new connection has the total time."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for first_byte, rest in ((b"", answer(b"1")), (b"H", answer(b"2").removeprefix(b"H"))):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(first_byte)
            await until_reuse_timeout(opened)
            writer.write(rest)
        await read_until_closed(reader, writer)

    async with impatient(0.1) as opened, raw_origin(script) as server:
        assert await get(opened, server.url) == b"1"
        assert await get(opened, server.url) == b"2"
        assert server.connections == 1


async def test_an_origin_that_always_closes_gets_two_requests_at_most(fetcher: Fetcher) -> None:
    """A request is repeated once."""

    async def hang_up_always(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")

    async with raw_origin(hang_up_always) as server:
        with pytest.raises(ImageFailure):
            await get(fetcher, server.url)
        assert server.connections == 2


@pytest.mark.parametrize(
    "response",
    [
        answer(b"body", b"Connection: close"),
        b"HTTP/1.0 200 OK\r\nContent-Length: 4\r\n\r\nbody",
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 9\r\n\r\nnot",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\nbody",
        b"HTTP/1.1 302 Found\r\nLocation: ftp://x/\r\nContent-Length: 9\r\n\r\nlook",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: br, br, br\r\nContent-Length: 9\r\n\r\nbody",
    ],
    ids=["close", "http-1.0", "unread-error", "too-large", "unread-redirect", "coded"],
)
async def test_an_incomplete_response_closes_its_connection(
    fetcher: Fetcher, response: bytes
) -> None:
    """Unread bytes could become the next response."""
    hung_up = asyncio.Event()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(response)
        await read_until_closed(reader, writer)
        hung_up.set()

    async with raw_origin(script) as server:
        await asyncio.gather(get(fetcher, server.url), return_exceptions=True)
        async with asyncio.timeout(HANG_TIMEOUT_S):
            await hung_up.wait()
        assert len(fetcher._client._pool) == 0


async def test_a_cancelled_fetch_closes_its_connection(fetcher: Fetcher) -> None:
    """Its response may still arrive, and must not reach another fetch."""
    requested, hung_up = asyncio.Event(), asyncio.Event()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        requested.set()
        await read_until_closed(reader, writer)
        hung_up.set()

    async with raw_origin(script) as server:
        fetch = asyncio.create_task(get(fetcher, server.url))
        await requested.wait()
        fetch.cancel()
        async with asyncio.timeout(HANG_TIMEOUT_S):
            await hung_up.wait()
        assert len(fetcher._client._pool) == 0


async def test_dns_rebinding_opens_no_new_connection() -> None:
    """An idle connection was checked when it was made. The next one is checked when it is made."""
    answers = {"a.example": ("127.0.0.1",)}
    policy = FetchPolicy(allowed_networks=(ip_network("127.0.0.1/32"),))
    fetcher = Fetcher(policy, resolver=TableResolver(answers))
    origin = KeepAliveScript()
    async with raw_origin(origin.script) as server:
        url = f"http://a.example:{server.port}"
        assert await get(fetcher, f"{url}/1") == b"/1"
        fetcher._resolver._answers["a.example"] = ("127.0.0.2",)  # type: ignore[attr-defined]
        fetcher._client._connector.clear_dns_cache()
        assert await get(fetcher, f"{url}/2") == b"/2"
        fetcher._client._pool.close()
        with pytest.raises(DnsFailed):
            await get(fetcher, f"{url}/3")
        assert server.connections == 1
    await fetcher.close()
