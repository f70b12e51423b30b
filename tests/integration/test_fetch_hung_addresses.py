"""Many names of one address that hangs open few connections to it."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from ipaddress import ip_network
from urllib.parse import urlsplit

import pytest

from consumer.fetching.fetcher import Fetcher, FetchPolicy
from consumer.fetching.limits import address_limiter
from consumer.fetching.limits.host_customer import HostBusy
from core.errors import ImageFailure, Timeout
from harness.raw_origin import TableResolver, raw_origin

NAMES = {f"name-{number}.example": ("127.0.0.1",) for number in range(64)}
POLICY = FetchPolicy(
    allowed_networks=(ip_network("127.0.0.1/32"),), total_timeout=6, connect_timeout=6
)


async def fetch_all(fetcher: Fetcher, port: int) -> list[object]:
    """Fetch from all names at the same time."""

    async def fetch(name: str) -> object:
        with await fetcher.fetch(f"http://{name}:{port}/") as fetched:
            return fetched.body

    return await asyncio.gather(*map(fetch, NAMES), return_exceptions=True)


@contextmanager
def full_listener() -> Iterator[int]:
    """Yield a port whose listener has a full backlog: the kernel drops every SYN, as a firewall does."""
    with closing(socket.socket()) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        fillers = [socket.socket() for _ in range(3)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
        try:
            yield port
        finally:
            for filler in fillers:
                filler.close()


@pytest.mark.parametrize("accepts", [True, False], ids=["silent", "SYN dropped"])
async def test_names_of_a_hung_address_share_its_limit(
    accepts: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sixteen requests find that it hangs. After that eight wait for it, and the others come back later.

    The time limit leaves a slow machine the time to begin them all.
    """
    monkeypatch.setattr(address_limiter, "_FIRST_ANSWER_S", 0.05)
    fetcher = Fetcher(POLICY, resolver=TableResolver(NAMES))
    connected = 0

    async def silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        nonlocal connected
        connected += 1
        await reader.read()

    async with raw_origin(silent) as origin:
        with full_listener() as full:
            port = (urlsplit(origin.url).port or 0) if accepts else full
            first, second = [await fetch_all(fetcher, port) for _ in range(2)]
    for results, most in ((first, 16), (second, 8)):
        sent = [each for each in results if isinstance(each, ImageFailure)]
        assert len(sent) == most
        assert {type(each) for each in sent} == {Timeout}
        assert sum(isinstance(each, HostBusy) for each in results) == len(NAMES) - most
    assert connected == (24 if accepts else 0)
    reasons = {each.reason for each in second if isinstance(each, HostBusy)}
    assert reasons == {"address_hung"}
    assert len(fetcher._hosts) == 0
    await fetcher.close()


async def test_requests_of_one_customer_that_hang_do_not_keep_back_another() -> None:
    """They fill the limit of a new address. The other customer's request is sent."""
    policy = replace(POLICY, total_timeout=60, connect_timeout=60)
    fetcher = Fetcher(policy, resolver=TableResolver(NAMES))
    hanging: asyncio.Queue[None] = asyncio.Queue()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if b"/hung" in await reader.readuntil(b"\r\n\r\n"):
            hanging.put_nowait(None)
            await reader.read()
        else:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nimage")

    async with raw_origin(answer) as origin:

        async def fetch(name: str, path: str, customer: str) -> bytes:
            with await fetcher.fetch(f"http://{name}:{origin.port}/{path}", customer) as fetched:
                return fetched.body

        other, *names = NAMES
        tasks = [asyncio.create_task(fetch(name, "hung", "a")) for name in names]
        for _ in range(16):
            await hanging.get()
        assert await fetch(other, "good", "b") == b"image"
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    await fetcher.close()


async def test_hosts_of_an_address_that_answers_are_not_limited() -> None:
    """More names than the limit begin together. They wait for its first answer, and none comes back later."""
    policy = replace(POLICY, total_timeout=60, connect_timeout=60)
    fetcher = Fetcher(policy, resolver=TableResolver(NAMES))

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nimage")

    async with raw_origin(answer) as origin:
        port = urlsplit(origin.url).port or 0
        results = await fetch_all(fetcher, port)
    assert set(map(str, results)) == {str(b"image")}
    await fetcher.close()
