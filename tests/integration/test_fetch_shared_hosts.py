"""Two customers of one host: what the first one's URLs do to it does not keep back the second one's."""

import asyncio
from ipaddress import ip_network

import pytest

from consumer.fetching.fetcher import Fetcher, FetchPolicy
from consumer.fetching.limits.host_condition import MAX_TIMEOUTS
from consumer.fetching.limits.host_customer import HostBusy
from core.errors import Timeout
from harness.raw_origin import raw_origin

POLICY = FetchPolicy(allowed_networks=(ip_network("127.0.0.1/32"),), total_timeout=5)
REFUSAL = b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 900\r\nContent-Length: 0\r\n\r\n"
IMAGE = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nimage"


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError:
            return
        if b"/hung" in head:
            await reader.read()
            return
        writer.write(REFUSAL if b"/refused" in head else IMAGE)


@pytest.mark.parametrize(("path", "reason"), [("hung", "host_hung"), ("refused", "host_refused")])
async def test_a_customer_is_served_by_a_host_that_keeps_back_another(
    path: str, reason: str
) -> None:
    """The URLs of the first hang, or are refused for a quarter of an hour."""
    fetcher = Fetcher(POLICY)
    async with raw_origin(answer) as origin:

        async def fetch(path: str, customer: str) -> bytes:
            with await fetcher.fetch(f"http://127.0.0.1:{origin.port}/{path}", customer) as fetched:
                return fetched.body

        first = await asyncio.gather(
            *(fetch(path, "a") for _ in range(MAX_TIMEOUTS)), return_exceptions=True
        )
        assert {type(each) for each in first} == {Timeout if path == "hung" else HostBusy}
        with pytest.raises(HostBusy) as busy:
            await fetch("good", "a")
        assert busy.value.reason == reason
        assert busy.value.failure is not None
        assert await fetch("good", "b") == b"image"
    await fetcher.close()


async def test_customers_for_whom_a_host_hangs_delay_nobody_else() -> None:
    """However many they are: anybody may submit URLs of a shared host that hang."""
    fetcher = Fetcher(POLICY)
    async with raw_origin(answer) as origin:

        async def fetch(path: str, customer: str) -> bytes:
            with await fetcher.fetch(f"http://127.0.0.1:{origin.port}/{path}", customer) as fetched:
                return fetched.body

        customers = [name for name in ("a", "b") for _ in range(MAX_TIMEOUTS)]
        hung = [fetch("hung", customer) for customer in customers]
        assert {type(each) for each in await asyncio.gather(*hung, return_exceptions=True)} == {
            Timeout
        }
        for customer in ("a", "b"):
            with pytest.raises(HostBusy):
                await fetch("good", customer)
        images = await asyncio.gather(*(fetch("good", "c") for _ in range(4)))
        assert images == [b"image"] * 4
    await fetcher.close()
