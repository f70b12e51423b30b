"""Strangers' servers on the loopback: one that speaks HTTP, one that says what it is told."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping

from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult
from multidict import CIMultiDictProxy

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class HttpOrigin:
    """Answers each path by its handler, any other with 404, and keeps what it was asked."""

    def __init__(self) -> None:
        self.routes: dict[str, Handler] = {}
        self.asked: list[tuple[str, CIMultiDictProxy[str]]] = []
        self.port = 0

    def url(self, path: str, host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.port}{path}"

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        self.asked.append((request.path_qs, request.headers))
        handler = self.routes.get(request.path)
        return web.Response(status=404) if handler is None else await handler(request)


@contextlib.asynccontextmanager
async def http_origin(tls: ssl.SSLContext | None = None) -> AsyncIterator[HttpOrigin]:
    origin = HttpOrigin()
    runner = web.ServerRunner(
        web.Server(origin.answer, handler_cancellation=True), shutdown_timeout=0
    )
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
        origin.port = runner.addresses[0][1]
        yield origin
    finally:
        await runner.cleanup()


def replying(
    *, status: int = 200, body: bytes = b"", headers: Mapping[str, str] | None = None
) -> Handler:
    """The same answer to every request."""

    async def reply(_: web.BaseRequest) -> web.StreamResponse:
        return web.Response(status=status, body=body, headers=headers)

    return reply


def redirecting(location: str, status: int = 302) -> Handler:
    return replying(status=status, headers={"Location": location})


class RawOrigin:
    """Counts connections and plays one script on each."""

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
            pass  # the client went away, which is what many scripts wait for
        finally:
            writer.close()


@contextlib.asynccontextmanager
async def raw_origin(
    script: Script, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None
) -> AsyncIterator[RawOrigin]:
    """A script must end when its client goes away: this waits for nothing else on the way out."""
    origin = RawOrigin(script)
    server = await asyncio.start_server(origin.serve, host, 0, ssl=tls)
    origin.port = server.sockets[0].getsockname()[1]
    async with server:
        yield origin


def saying(*parts: bytes) -> Script:
    """Read the request, say this, and hang up."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.writelines(parts)
        await writer.drain()

    return script


@contextlib.contextmanager
def closed_port() -> Iterator[int]:
    """A port of 127.0.0.1 that refuses connections and that nobody else can take meanwhile."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        yield sock.getsockname()[1]


class TableResolver(AbstractResolver):
    """Answers from a table; a name outside it does not exist."""

    def __init__(self, answers: Mapping[str, tuple[str, ...]]) -> None:
        self._answers = answers

    async def resolve(
        self,
        host: str,
        port: int = 0,
        family: socket.AddressFamily = socket.AF_INET,  # noqa: ARG002  the base class asks for it
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
        """Nothing is held."""
