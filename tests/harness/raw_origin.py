"""Origins below HTTP: a script gets the TCP connection."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from ipaddress import ip_network

from aiohttp.abc import AbstractResolver, ResolveResult

from consumer.fetching.fetcher import Fetcher, FetchPolicy

HANG_TIMEOUT_S = 60

Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class RawOrigin:
    """Counts connections and runs one script on each."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self.connections = 0
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/picture.png"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            await self._script(reader, writer)
        except ConnectionError:
            pass  # The client closed the connection; many scripts wait for that.
        finally:
            writer.close()


@contextlib.asynccontextmanager
async def raw_origin(
    script: Script, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None, *, port: int = 0
) -> AsyncIterator[RawOrigin]:
    """Serve on a free port, or on `port`. A script must end when its client closes the connection."""
    origin = RawOrigin(script)
    server = await asyncio.start_server(origin.serve, host, port, ssl=tls)
    origin.port = server.sockets[0].getsockname()[1]
    async with server:
        yield origin


def respond(*parts: bytes) -> Script:
    """Return a script that reads the request, sends `parts`, and closes the connection."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.writelines(parts)
        await writer.drain()

    return script


async def read_until_closed(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    """Wait until the client closes the connection."""
    while await reader.read(1_000):
        pass


def answer(body: bytes, *headers: bytes) -> bytes:
    """Return a response with a length and this body."""
    lines = (b"HTTP/1.1 200 OK", b"Content-Length: %d" % len(body), *headers)
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


class KeepAliveScript:
    """Answers each request with its own path and keeps the connection open.

    `surplus` follows the first answer. With `misbehave`, the first connection runs that script after its first answer,
    as soon as the method `misbehave` is called.
    """

    def __init__(self, misbehave: Script | None = None, *, surplus: bytes = b"") -> None:
        self._misbehave = misbehave
        self._surplus = surplus
        self.connections = 0
        self.now = asyncio.Event()
        self.hung_up = asyncio.Event()

    async def misbehave(self) -> None:
        """Return once the client has closed the first connection because of it."""
        self.now.set()
        async with asyncio.timeout(HANG_TIMEOUT_S):
            await self.hung_up.wait()

    async def script(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        first = self.connections == 1
        if first:
            writer.write(answer(await self._path(reader)) + self._surplus)
        if not first or self._misbehave is None:
            await self._serve(reader, writer)
            return
        await self.now.wait()
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await self._misbehave(reader, writer)
        self.hung_up.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while not reader.at_eof():
            try:
                writer.write(answer(await self._path(reader)))
            except asyncio.IncompleteReadError:
                return

    async def _path(self, reader: asyncio.StreamReader) -> bytes:
        return (await reader.readuntil(b"\r\n\r\n")).split(b" ")[1]


class TableResolver(AbstractResolver):
    """Resolves the names of a table. Other names do not exist."""

    def __init__(self, answers: Mapping[str, tuple[str, ...]]) -> None:
        self._answers = answers

    async def resolve(
        self,
        host: str,
        port: int = 0,
        family: socket.AddressFamily = socket.AF_INET,  # noqa: ARG002  required by the base class
    ) -> list[ResolveResult]:
        if host not in self._answers:
            raise socket.gaierror(socket.EAI_NONAME, f"no such name: {host}")
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for address in self._answers[host]
        ]

    async def close(self) -> None:
        """Do nothing: there is no resource to close."""


@contextlib.asynccontextmanager
async def two_names() -> AsyncIterator[Fetcher]:
    """Open a fetcher that resolves a.example and b.example to 127.0.0.1."""
    names = {"a.example": ("127.0.0.1",), "b.example": ("127.0.0.1",)}
    policy = FetchPolicy(allowed_networks=(ip_network("127.0.0.1/32"),))
    fetcher = Fetcher(policy, resolver=TableResolver(names))
    yield fetcher
    await fetcher.close()


async def get(fetcher: Fetcher, url: str) -> bytes:
    with await fetcher.fetch(url) as fetched:
        return fetched.body


def at(url: str, path: str) -> str:
    """Return the URL of another path of a RawOrigin."""
    return url.replace("/picture.png", path)
