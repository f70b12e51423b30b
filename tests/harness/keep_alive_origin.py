"""An origin that keeps its connections open, and may misuse the first of them."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_network

from consumer.fetching.fetcher import Fetcher, FetchPolicy
from harness.loopback_origin import Script, TableResolver

PATIENCE_S = 30


def answer(body: bytes, *headers: bytes) -> bytes:
    lines = (b"HTTP/1.1 200 OK", b"Content-Length: %d" % len(body), *headers)
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


@asynccontextmanager
async def two_names() -> AsyncIterator[Fetcher]:
    """A fetcher to which a.example and b.example are this machine."""
    names = {"a.example": ("127.0.0.1",), "b.example": ("127.0.0.1",)}
    policy = FetchPolicy(allowed_networks=(ip_network("127.0.0.1/32"),))
    fetcher = Fetcher(policy, resolver=TableResolver(names))
    yield fetcher
    await fetcher.close()


async def get(fetcher: Fetcher, url: str) -> bytes:
    async with fetcher.fetch(url) as fetched:
        return fetched.body


def at(url: str, path: str) -> str:
    return url.replace("/picture.png", path)


class Origin:
    """Answers each request with its own path.

    The first answer is followed by `surplus`. Where there is something to `misbehave` with, the first connection does
    so after its first answer, once it is told to.
    """

    def __init__(self, misbehave: Script | None = None, *, surplus: bytes = b"") -> None:
        self._misbehave = misbehave
        self._surplus = surplus
        self.connections = 0
        self.now = asyncio.Event()
        self.hung_up = asyncio.Event()

    async def misbehave(self) -> None:
        """Returns once the client has ended the first connection for it."""
        self.now.set()
        async with asyncio.timeout(PATIENCE_S):
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


async def until_hung_up(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    while await reader.read(1_000):
        pass
