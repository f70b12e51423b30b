"""Shows what HTTP clients accept from a hostile origin (ADR 12).

pip install --target DIR httpx
PYTHONPATH=.:DIR python docs/adr/measurements/http_client_bounds.py
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from importlib import import_module
from ipaddress import ip_network

import aiohttp

from consumer.fetching.fetcher import Fetcher, FetchPolicy

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
FORGED = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;"
FLOODS = {
    "/interim": b"HTTP/1.1 103 Early Hints\r\nX: y\r\n\r\n" * 1_000,
    "/extension": b"x" * 100_000,
}


async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
        while request := await reader.readuntil(b"\r\n\r\n"):
            path = request.split()[1].decode()
            writer.write(CHUNKED if path == "/extension" else b"")
            while path in FLOODS:
                writer.write(FLOODS[path])
                await writer.drain()
            writer.write(OK + (FORGED if path == "/extra" else b""))
            await asyncio.sleep(0.05)
            writer.write(FORGED if path == "/idle" else b"")


async def outcome(get: Callable[[str], Awaitable[bytes]], base: str, path: str) -> str:
    """Fetch a hostile path, then an honest one. Return the second body, or the first error."""
    try:
        async with asyncio.timeout(3):
            await get(base + path)
            await asyncio.sleep(0.2)
            return (await get(base + "/honest")).decode()
    except Exception as error:  # noqa: BLE001 - the error is the result
        return repr(error)[:100]


async def compare(base: str) -> None:
    fetcher = Fetcher(FetchPolicy(allowed_networks=(ip_network("127.0.0.1"),)))
    client = import_module("httpx").AsyncClient(trust_env=False)
    async with aiohttp.ClientSession() as session, client:

        async def hand_written(url: str) -> bytes:
            with await fetcher.fetch(url) as fetched:
                return fetched.body

        async def client_session(url: str) -> bytes:
            async with session.get(url) as response:
                return await response.read()

        async def httpx(url: str) -> bytes:
            return bytes((await client.get(url)).content)

        for get in (hand_written, client_session, httpx):
            for path in (*FLOODS, "/extra", "/idle"):
                print(get.__name__, path, await outcome(get, base, path))  # noqa: T201 - a report
    await fetcher.close()
    await asyncio.sleep(0.1)  # the server still writes


async def main() -> None:
    server = await asyncio.start_server(respond, "127.0.0.1", 0)
    await compare(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")


asyncio.run(main())
