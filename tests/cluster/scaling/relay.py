"""A TCP relay from another network of this machine, such as a container network, to a port on loopback."""

import asyncio
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

_CHUNK_BYTES = 65_536


@asynccontextmanager
async def relay(host: str | None, endpoint: str) -> AsyncIterator[str]:
    """Yield a URL of the endpoint for the network of `host`. Without a host it is the endpoint itself."""
    if host is None:
        yield endpoint
        return
    target = urlsplit(endpoint)

    async def connected(reader: StreamReader, writer: StreamWriter) -> None:
        with suppress(OSError):
            inner_reader, inner_writer = await asyncio.open_connection(target.hostname, target.port)
            await asyncio.gather(_copy(reader, inner_writer), _copy(inner_reader, writer))

    server = await asyncio.start_server(connected, host, 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        yield f"http://{host}:{port}"


async def _copy(reader: StreamReader, writer: StreamWriter) -> None:
    try:
        while chunk := await reader.read(_CHUNK_BYTES):
            writer.write(chunk)
            await writer.drain()
    finally:
        writer.close()
