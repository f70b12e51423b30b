"""Origins that misbehave while a fetch waits for memory."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from ipaddress import ip_network

import pytest

from consumer.fetching.fetcher import Fetcher, FetchPolicy
from core.errors import BadResponse, BrokenResponse, ConnectFailed, ImageFailure
from harness.raw_origin import HANG_TIMEOUT_S, answer, get, raw_origin, read_until_closed, respond

LIMIT = 1_000
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@dataclass
class MisbehavingOrigin:
    """Sends `first`; after a signal, sends `then` and waits until the client closes the connection."""

    first: bytes
    then: bytes
    now: asyncio.Event = field(default_factory=asyncio.Event)
    hung_up: asyncio.Event = field(default_factory=asyncio.Event)

    async def script(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(self.first)
        await self.now.wait()
        writer.write(self.then)
        with contextlib.suppress(ConnectionError):
            await read_until_closed(reader, writer)
        self.hung_up.set()

    async def wait_closed(self) -> None:
        """Return when the client has closed the connection."""
        async with asyncio.timeout(HANG_TIMEOUT_S):
            await self.hung_up.wait()


@pytest.fixture
async def fetcher() -> AsyncIterator[Fetcher]:
    policy = FetchPolicy(
        allowed_networks=(ip_network("127.0.0.1/32"),), max_bytes=LIMIT, body_budget_bytes=LIMIT
    )
    fetcher = Fetcher(policy)
    yield fetcher
    assert fetcher._budget.free == LIMIT
    await fetcher.close()


async def until_it_waits(fetcher: Fetcher) -> None:
    """Return when a fetch has read its head and waits for bytes. No event announces that."""
    async with asyncio.timeout(HANG_TIMEOUT_S):
        while not fetcher._budget._bytes._waiting:  # noqa: ASYNC110  see above
            await asyncio.sleep(0)


@contextlib.asynccontextmanager
async def waiting(fetcher: Fetcher, url: str) -> AsyncIterator[asyncio.Task[bytes]]:
    """Run a fetch that waits for memory until the block ends."""
    async with raw_origin(respond(answer(b"x" * LIMIT))) as other:
        with await fetcher.fetch(other.url):
            fetch = asyncio.create_task(get(fetcher, url))
            await until_it_waits(fetcher)
            yield fetch


async def test_a_body_that_breaks_meanwhile_is_a_broken_response(fetcher: Fetcher) -> None:
    """The failure is transient and not an error of the worker."""
    misbehaving = MisbehavingOrigin(CHUNKED, b"xyz\r\n")
    async with raw_origin(misbehaving.script) as origin:
        async with waiting(fetcher, origin.url) as fetch:
            misbehaving.now.set()
            await misbehaving.wait_closed()
        with pytest.raises(ImageFailure) as raised:
            await fetch
        assert type(raised.value) is BrokenResponse


async def test_a_connection_that_is_closed_meanwhile_is_a_failure_to_connect(
    fetcher: Fetcher,
) -> None:
    """This holds for a close by the origin and by us. A retry may succeed."""
    misbehaving = MisbehavingOrigin(CHUNKED, b"")
    async with raw_origin(misbehaving.script) as origin:
        async with waiting(fetcher, origin.url) as fetch:
            misbehaving.now.set()
            await fetcher._client.close()
            await misbehaving.wait_closed()
        with pytest.raises(ImageFailure) as raised:
            await fetch
        assert type(raised.value) is ConnectFailed


BODY = answer(b"x" * LIMIT)


@pytest.mark.parametrize(
    "surplus",
    [
        answer(b"forged"),
        b"HTTP/1.1 103 Early Hints\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 1_000,
        b"H",
    ],
    ids=["answer", "interim", "half-a-head", "one-byte"],
)
async def test_bytes_after_the_response_meanwhile_close_the_connection(
    fetcher: Fetcher, surplus: bytes
) -> None:
    """Every waiting fetch would hold such bytes outside the budget. The response itself is not lost."""
    misbehaving = MisbehavingOrigin(BODY, surplus)
    async with raw_origin(misbehaving.script) as origin:
        async with waiting(fetcher, origin.url) as fetch:
            misbehaving.now.set()
            await misbehaving.wait_closed()
        assert await fetch == b"x" * LIMIT


async def test_very_long_trailers_meanwhile_close_the_connection(fetcher: Fetcher) -> None:
    """Header fields after a body count like those before it."""
    field = b"X: " + b"x" * 1_000 + b"\r\n"
    misbehaving = MisbehavingOrigin(CHUNKED + b"3\r\nabc\r\n0\r\n", field * 90)
    async with raw_origin(misbehaving.script) as origin:
        async with waiting(fetcher, origin.url) as fetch:
            misbehaving.now.set()
            await misbehaving.wait_closed()
        with pytest.raises(BadResponse):
            await fetch


async def test_slow_bodies_of_one_customer_delay_no_body_of_another() -> None:
    """They hold all memory that one customer may hold, and more of them wait for it."""
    limit = 64 * 1_024
    policy = FetchPolicy(
        allowed_networks=(ip_network("127.0.0.1/32"),),
        max_bytes=limit,
        body_budget_bytes=4 * limit,
        total_timeout=HANG_TIMEOUT_S,
        rate_grace=HANG_TIMEOUT_S,
    )
    fetcher = Fetcher(policy)
    slow = MisbehavingOrigin(CHUNKED, b"")
    async with (
        raw_origin(slow.script) as origin,
        raw_origin(respond(CHUNKED, b"0\r\n\r\n")) as quick,
    ):
        fetches = [asyncio.create_task(fetcher.fetch(origin.url, "a")) for _ in range(6)]
        async with asyncio.timeout(HANG_TIMEOUT_S):
            while not fetcher._budget._large._waiting:  # noqa: ASYNC110  no event announces that
                await asyncio.sleep(0)
        with await fetcher.fetch(quick.url, "b") as fetched:
            assert fetched.body == b""
        assert not any(fetch.done() for fetch in fetches)
        for fetch in fetches:
            fetch.cancel()
        await asyncio.wait(fetches)
    await fetcher.close()
