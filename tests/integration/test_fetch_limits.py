"""Limits of a fetch: bytes, time, and requests to one host."""

import asyncio
import contextlib
import socket
import threading
from collections.abc import AsyncIterator
from dataclasses import replace
from ipaddress import ip_network

import pytest
from aiohttp import web

from consumer.fetching.fetcher import Fetcher, FetchPolicy, FetchResult
from consumer.fetching.limits.host_customer import HostBusy
from consumer.fetching.resolver import PooledResolver
from core.errors import ImageServiceError, Timeout, TooLarge, TooSlow
from harness.origin import Handler, Origin, origin, reply_with
from harness.raw_origin import Script, TableResolver, raw_origin, respond

POLICY = FetchPolicy(allowed_networks=(ip_network("127.0.0.1/32"),), max_bytes=1_000)
HEAD = b"HTTP/1.1 200 OK\r\n\r\n"


@pytest.fixture(name="origin")
async def _origin() -> AsyncIterator[Origin]:
    async with origin() as server:
        yield server


@contextlib.asynccontextmanager
async def fetching(policy: FetchPolicy) -> AsyncIterator[Fetcher]:
    """A fetcher that must hold no slot and no bytes at the end."""
    names = TableResolver({"a.example": ("127.0.0.1",), "b.example": ("127.0.0.1",)})
    fetcher = Fetcher(policy, resolver=names)
    try:
        yield fetcher
        assert fetcher._budget.free == policy.body_budget_bytes
        assert len(fetcher._hosts) == 0
    finally:
        await fetcher.close()


async def get(fetcher: Fetcher, url: str) -> FetchResult:
    with await fetcher.fetch(url) as fetched:
        return fetched


async def failure(policy: FetchPolicy, url: str) -> type[ImageServiceError]:
    """Return the type of the failure. The fetch must release slot and bytes."""
    async with fetching(policy) as fetcher:
        with pytest.raises(ImageServiceError) as raised:
            await get(fetcher, url)
    return type(raised.value)


def undeclared(body: bytes) -> Handler:
    """A chunked response, whose size is known only at its end."""

    async def reply(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(body)
        return response

    return reply


async def read_until_closed(reader: asyncio.StreamReader) -> None:
    while await reader.read(1_000):
        pass


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Read the request and never respond."""
    await read_until_closed(reader)


async def silent_after_head(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Begin a body and send nothing more."""
    writer.write(HEAD + b"p")
    await read_until_closed(reader)


async def dripping(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send one byte after another, slowly, without end."""
    writer.write(HEAD)
    while not writer.is_closing():
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0.01)


async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send as fast as possible, without end."""
    writer.write(HEAD)
    while not writer.is_closing():
        writer.write(b"x" * 65_536)
        await writer.drain()


async def test_a_body_of_exactly_the_limit_is_accepted(origin: Origin) -> None:
    """The limit itself is allowed, with a declared size and without one."""
    origin.routes["/declared"] = reply_with(body=b"x" * 1_000)
    origin.routes["/undeclared"] = undeclared(b"x" * 1_000)
    async with fetching(POLICY) as fetcher:
        assert len((await get(fetcher, origin.url("/declared"))).body) == 1_000
        assert len((await get(fetcher, origin.url("/undeclared"))).body) == 1_000


async def test_a_declared_size_over_the_limit_is_rejected_unread() -> None:
    """The origin declares a gigabyte and sends nothing. The failure does not wait for the body."""
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n"
    async with raw_origin(respond(head)) as origin:
        assert await failure(POLICY, origin.url) is TooLarge


async def test_an_endless_body_is_too_large() -> None:
    """Without a declared size, the limit applies to the bytes that arrive."""
    async with raw_origin(endless) as origin:
        assert await failure(POLICY, origin.url) is TooLarge


@pytest.mark.parametrize("script", [dripping, silent_after_head], ids=["drip", "silence"])
async def test_a_slow_body_is_too_slow(script: Script) -> None:
    """A body below the minimum rate fails long before the total timeout."""
    policy = replace(POLICY, min_rate=5_000, rate_window=0.1, rate_grace=0.05)
    async with raw_origin(script) as origin:
        assert await failure(policy, origin.url) is TooSlow


async def test_a_body_that_takes_many_windows_loses_nothing() -> None:
    """The rate check interrupts reading without losing a byte."""
    policy = replace(POLICY, min_rate=0, rate_window=0.005, rate_grace=0)
    numbers = bytes(range(30))

    async def slowly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD)
        for number in numbers:
            writer.write(bytes([number]))
            await writer.drain()
            await asyncio.sleep(0.006)

    async with raw_origin(slowly) as origin, fetching(policy) as fetcher:
        assert (await get(fetcher, origin.url)).body == numbers


async def test_an_origin_that_never_responds_is_a_timeout() -> None:
    """The total timeout limits the wait for the head of the response."""
    async with raw_origin(silent) as origin:
        assert await failure(replace(POLICY, total_timeout=0.1), origin.url) is Timeout


async def test_an_endless_body_above_the_minimum_rate_ends() -> None:
    """The total timeout limits the body too, for example a live stream."""
    policy = replace(POLICY, total_timeout=0.1, min_rate=0)
    async with raw_origin(dripping) as origin:
        assert await failure(policy, origin.url) is Timeout


async def test_a_body_counts_until_its_block_ends(origin: Origin) -> None:
    """The reservation shrinks to the bytes that arrived, and ends with the block."""
    origin.routes["/p"] = undeclared(b"x" * 300)
    policy = replace(POLICY, body_budget_bytes=1_000)
    async with fetching(policy) as fetcher:
        with await fetcher.fetch(origin.url("/p")):
            assert fetcher._budget.free == 700
        assert fetcher._budget.free == 1_000


async def test_fetches_that_share_a_small_budget_all_succeed(origin: Origin) -> None:
    """Each needs most of the budget, so they run one after another. Waiting uses up none of their time."""
    origin.routes["/p"] = reply_with(body=b"x" * 900)
    policy = replace(POLICY, body_budget_bytes=1_000, per_host_wait=60)
    async with fetching(policy) as fetcher:
        fetched = await asyncio.gather(*(get(fetcher, origin.url("/p")) for _ in range(20)))
    assert [len(one.body) for one in fetched] == [900] * 20


async def test_waiting_for_the_budget_does_not_use_up_the_origins_time(origin: Origin) -> None:
    """A fetch that waits for memory longer than its total timeout still succeeds."""
    origin.routes["/p"] = reply_with(body=b"x" * 900)
    policy = replace(POLICY, body_budget_bytes=1_000, total_timeout=2)
    async with fetching(policy) as fetcher:
        with await fetcher.fetch(origin.url("/p")):
            waiting = asyncio.create_task(get(fetcher, origin.url("/p")))
            await asyncio.wait({waiting}, timeout=1.5 * policy.total_timeout)
        assert len((await waiting).body) == 900


async def test_bodies_of_unknown_size_leave_space_for_a_small_one(origin: Origin) -> None:
    """A body that declares a few bytes does not wait for many slow bodies of unknown size."""
    end = asyncio.Event()

    async def drip(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"x")
        await end.wait()
        return response

    origin.routes["/drip"], origin.routes["/small"] = drip, reply_with(body=b"abc")
    policy = replace(POLICY, body_budget_bytes=2_000)
    async with fetching(policy) as fetcher, asyncio.timeout(60):
        drips = origin.url("/drip", host="a.example")
        fetches = [asyncio.create_task(get(fetcher, drips)) for _ in range(3)]
        # No event announces a reservation.
        while fetcher._budget.free == policy.body_budget_bytes:  # noqa: ASYNC110  see above
            await asyncio.sleep(0)
        small = await get(fetcher, origin.url("/small", host="b.example"))
        end.set()
        assert small.body == b"abc"
        assert [one.body for one in await asyncio.gather(*fetches)] == [b"x"] * 3


async def test_a_name_without_a_free_dns_thread_is_busy(
    origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If names that hang hold every DNS thread, the fetch of another name raises HostBusy."""
    hanging, end = threading.Event(), threading.Event()

    def hang(*_: object) -> list[object]:
        hanging.set()
        end.wait()
        return []

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    fetcher = Fetcher(POLICY, resolver=PooledResolver(threads=1))
    slow = asyncio.create_task(get(fetcher, origin.url("/p", host="slow.example")))
    try:
        await asyncio.to_thread(hanging.wait)
        with pytest.raises(HostBusy):
            await get(fetcher, origin.url("/p", host="other.test"))
    finally:
        end.set()
        await asyncio.gather(slow, return_exceptions=True)
        await fetcher.close()


async def test_a_host_over_its_limit_is_busy_and_others_are_not(origin: Origin) -> None:
    """HostBusy spends no attempt, and another host does not wait."""
    requested, answer = asyncio.Event(), asyncio.Event()

    async def hold(_: web.BaseRequest) -> web.StreamResponse:
        requested.set()
        await answer.wait()
        return web.Response(body=b"image")

    origin.routes["/held"] = hold
    origin.routes["/p"] = reply_with(body=b"image")
    policy = replace(POLICY, per_host_limit=1, per_host_wait=0.05)
    async with fetching(policy) as fetcher:
        held = asyncio.create_task(get(fetcher, origin.url("/held", host="a.example")))
        await requested.wait()
        with pytest.raises(HostBusy):
            await get(fetcher, origin.url("/p", host="a.example"))
        assert (await get(fetcher, origin.url("/p", host="b.example"))).body == b"image"
        answer.set()
        assert (await held).body == b"image"


async def test_a_cancelled_fetch_holds_nothing(origin: Origin) -> None:
    """A graceful shutdown that cancels a fetch releases its slot and bytes."""
    begun = asyncio.Event()

    async def begin(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"x")
        begun.set()
        await asyncio.Event().wait()
        return response

    origin.routes["/p"] = begin
    async with fetching(POLICY) as fetcher:
        fetch = asyncio.create_task(get(fetcher, origin.url("/p")))
        await begun.wait()
        fetch.cancel()
        await asyncio.gather(fetch, return_exceptions=True)


def test_a_budget_too_small_for_one_body_is_rejected() -> None:
    """With such a budget, a fetch without a declared size would wait for ever."""
    with pytest.raises(ValueError, match="body_budget_bytes"):
        replace(POLICY, body_budget_bytes=999)
