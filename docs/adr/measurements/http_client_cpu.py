"""Compares HTTP clients: CPU time per fetch of a 20 KB image from a server on loopback (ADR 12).

pip install --target DIR httpx
PYTHONPATH=.:DIR python docs/adr/measurements/http_client_cpu.py
"""

import asyncio
import contextlib
import multiprocessing
import socket
import statistics
import time
from collections.abc import Awaitable, Callable
from importlib import import_module
from ipaddress import ip_network

import aiohttp
import uvloop

from consumer.fetching.fetcher import Fetcher, FetchPolicy
from core.model.origin_url import parse_origin_url

BODY = bytes(20_000)
RESPONSE = b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nContent-Length: 20000\r\n\r\n" + BODY
FETCHES, ROUNDS = 500, 21


async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(asyncio.IncompleteReadError):
        while await reader.readuntil(b"\r\n\r\n"):
            writer.write(RESPONSE)


def serve(listener: socket.socket) -> None:
    async def run() -> None:
        await (await asyncio.start_server(respond, sock=listener)).serve_forever()

    asyncio.run(run())


async def cpu_us(get: Callable[[], Awaitable[bytes]]) -> float:
    began = time.process_time()
    for _ in range(FETCHES):
        assert await get() == BODY  # noqa: S101 - a client that returns less is no comparison
    return (time.process_time() - began) / FETCHES * 1e6


async def measure(url: str) -> None:
    fetcher = Fetcher(FetchPolicy(allowed_networks=(ip_network("127.0.0.1"),)))
    hop, httpx = parse_origin_url(url), import_module("httpx").AsyncClient(trust_env=False)
    async with aiohttp.ClientSession() as session, httpx:

        async def whole_fetcher() -> bytes:
            with await fetcher.fetch(url) as fetched:
                return fetched.body

        async def origin_client() -> bytes:
            response = await fetcher._client.get(hop)  # noqa: SLF001 - the client without host and byte limits
            body = await response.content.read()
            response.release()
            return body

        async def client_session() -> bytes:
            async with session.get(url) as response:
                return await response.read()

        async def httpx_client() -> bytes:
            return bytes((await httpx.get(url)).content)

        clients = (whole_fetcher, origin_client, client_session, httpx_client)
        rounds = [[await cpu_us(client) for client in clients] for _ in range(ROUNDS)]
    await fetcher.close()
    for client, times in zip(clients, zip(*rounds, strict=True), strict=True):
        print(f"{client.__name__}: {statistics.median(times):.0f} us")  # noqa: T201 - a report


with socket.create_server(("127.0.0.1", 0)) as server:
    multiprocessing.get_context("fork").Process(target=serve, args=(server,), daemon=True).start()
    uvloop.run(measure(f"http://127.0.0.1:{server.getsockname()[1]}/image.png"))
