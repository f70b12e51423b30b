"""Memory of request bodies in the AWS HTTP clients: none is kept after a failure, and a large one is not copied."""

import asyncio
import gc
import socket
import time
import tracemalloc
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import aiohttp
import pytest
from botocore.exceptions import ClientError

from core.aws.http import Limits
from harness.fake_aws import (
    HANG_TIMEOUT_S,
    http_clients_at,
    http_clients_of,
    listen,
    put,
    read_until_closed,
    request,
)

LARGE = 32 * 1024 * 1024
"""In bytes; more than the kernel buffers on both sides of a connection whose peer does not read."""

FAILURES = 3
LETTING_GO_S = 60


class TrackedBytes(bytes):
    """Bytes that the garbage collector lists."""


@pytest.fixture
def no_collector() -> Iterator[None]:
    """Disable the garbage collector: objects are freed by their last reference only."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


async def kept() -> int:
    """Return the number of bodies still referenced, after threads (of DNS lookups) have dropped their exceptions."""
    deadline = time.monotonic() + LETTING_GO_S
    while (count := _tracked()) and time.monotonic() < deadline:  # noqa: ASYNC110  another thread changes it
        await asyncio.sleep(0.01)
    return count


def _tracked() -> int:
    return sum(isinstance(each, TrackedBytes) for each in gc.get_objects())


@asynccontextmanager
async def refusing(host: str) -> AsyncIterator[str]:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"http://{host}:{bound.getsockname()[1]}"


@asynccontextmanager
async def unknown() -> AsyncIterator[str]:
    yield "http://nowhere.invalid"


def answering(answer: bytes) -> AbstractAsyncContextManager[str]:
    """A service that sends this and then nothing more."""

    async def serve(
        _number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        await request(reader)
        writer.write(answer)
        await read_until_closed(reader)

    return listen(serve)


def cutting() -> AbstractAsyncContextManager[str]:
    """A service that breaks the connection in the middle of a body."""

    async def serve(
        _number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.transport.abort()

    return listen(serve)


@pytest.mark.parametrize(
    "outage",
    [
        lambda: refusing("127.0.0.1"),
        lambda: refusing("localhost"),
        unknown,
        lambda: answering(b""),
        lambda: answering(b"HTTP/1.1 503 Slow Down\r\nContent-Length: 0\r\n\r\n"),
        lambda: answering(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"),
        lambda: answering(b"no HTTP\r\n\r\n"),
        cutting,
    ],
    ids=["refused", "two addresses", "no name", "silent", "busy", "denied", "not HTTP", "cut"],
)
async def test_a_failed_call_keeps_nothing_of_its_body(
    outage: Callable[[], AbstractAsyncContextManager[str]], no_collector: None
) -> None:
    """Without waiting for the garbage collector, which an outage would outrun."""
    failed = 0
    async with (
        asyncio.timeout(HANG_TIMEOUT_S),
        outage() as url,
        http_clients_of(url, Limits(read_timeout=0.2)) as http,
    ):
        for _ in range(FAILURES):
            try:
                await put(http, TrackedBytes(1_000_000))
            except (aiohttp.ClientError, ClientError):
                failed += 1
    assert failed == FAILURES
    assert await kept() == 0


async def test_a_call_cancelled_in_midbody_keeps_nothing_of_it(no_collector: None) -> None:
    """Unsent bytes are dropped with the call."""
    begun = asyncio.Event()

    async def serve(
        _number: int, reader: asyncio.StreamReader, _writer: asyncio.StreamWriter
    ) -> None:
        await reader.readuntil(b"\r\n\r\n")
        begun.set()
        await read_until_closed(reader)

    async with asyncio.timeout(HANG_TIMEOUT_S), http_clients_at(serve) as http:
        storing = asyncio.create_task(put(http, TrackedBytes(LARGE)))
        await begun.wait()
        storing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await storing
        del storing
    assert await kept() == 0


async def test_a_large_body_is_sent_without_a_copy() -> None:
    """While a service takes its time to read, the process holds the body once."""
    body = bytes(LARGE)
    begun, measured = asyncio.Event(), asyncio.Event()

    async def serve(
        _number: int, reader: asyncio.StreamReader, _writer: asyncio.StreamWriter
    ) -> None:
        await reader.readuntil(b"\r\n\r\n")
        begun.set()
        await measured.wait()

    async with asyncio.timeout(HANG_TIMEOUT_S), http_clients_at(serve) as http:
        tracemalloc.start()
        try:
            storing = asyncio.create_task(put(http, body))
            await begun.wait()
            held, _peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        measured.set()
        storing.cancel()
    assert held < LARGE / 4
