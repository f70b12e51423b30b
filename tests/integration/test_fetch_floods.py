"""Origins that send more than the response, as fast as they can."""

import asyncio
from collections.abc import AsyncIterator
from ipaddress import ip_network

import pytest

from consumer.fetching.fetcher import Fetcher, FetchPolicy
from core.errors import BadResponse
from harness.raw_origin import HANG_TIMEOUT_S, Script, raw_origin, respond

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"
EARLY_HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


@pytest.fixture
async def fetcher() -> AsyncIterator[Fetcher]:
    policy = FetchPolicy(
        allowed_networks=(ip_network("127.0.0.1/32"),), total_timeout=HANG_TIMEOUT_S
    )
    fetcher = Fetcher(policy)
    yield fetcher
    await fetcher.close()


async def get(fetcher: Fetcher, url: str) -> bytes:
    with await fetcher.fetch(url) as fetched:
        return fetched.body


def flooding(message: bytes) -> Script:
    """Send one message after another until the client closes the connection."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        while not writer.is_closing():
            writer.write(message * 500)
            await writer.drain()

    return script


@pytest.mark.parametrize("message", [EARLY_HINTS, CONTINUE], ids=["103", "100"])
async def test_endless_interim_responses_are_a_bad_response(
    fetcher: Fetcher, message: bytes
) -> None:
    """The connection is aborted at once, so neither memory nor the fetch's time is used up."""
    async with raw_origin(flooding(message)) as origin:
        with pytest.raises(BadResponse):
            await get(fetcher, origin.url)


async def test_a_few_interim_responses_are_skipped(fetcher: Fetcher) -> None:
    """Early hints are valid (RFC 8297) and do not matter for an image."""
    async with raw_origin(respond(CONTINUE, EARLY_HINTS * 3, OK)) as origin:
        assert await get(fetcher, origin.url) == b"abc"


def head(fields: int, size: int) -> bytes:
    """A response with header fields of a given number and size in bytes, line ends included."""
    field = b"X-%04d: ".ljust(size - 2, b"x") + b"\r\n"
    return b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n%b\r\nabc" % b"".join(
        field % number for number in range(fields)
    )


async def test_a_long_head_is_read(fetcher: Fetcher) -> None:
    """Cookies and security policies make long heads."""
    async with raw_origin(respond(head(90, 500))) as origin:
        assert await get(fetcher, origin.url) == b"abc"


@pytest.mark.parametrize(
    ("fields", "size"), [(1_100, 20), (90, 1_000), (12, 8_000)], ids=["many", "much", "long"]
)
async def test_a_head_over_the_limits_is_a_bad_response(
    fetcher: Fetcher, fields: int, size: int
) -> None:
    """Each field is short, but all of them would be held while the fetch waits for memory."""
    async with raw_origin(respond(head(fields, size))) as origin:
        with pytest.raises(BadResponse):
            await get(fetcher, origin.url)


async def test_chunks_without_content_are_a_bad_response(fetcher: Fetcher) -> None:
    """Chunk extensions (RFC 9112, section 7.1.1) may have any length, and carry no body."""
    extension = b"1;" + b"x" * 200_000
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    async with raw_origin(respond(chunked, extension, b"\r\na\r\n0\r\n\r\n")) as origin:
        with pytest.raises(BadResponse):
            await get(fetcher, origin.url)


async def test_a_large_body_in_tiny_and_in_huge_chunks_is_complete(fetcher: Fetcher) -> None:
    """The handler feeds the parser in slices, and loses no byte."""
    numbers = bytes(range(256)) * 4
    tiny = b"".join(b"1\r\n%c\r\n" % number for number in numbers)
    huge = b"%x\r\n%b\r\n" % (len(numbers) * 2_000, numbers * 2_000)
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    async with raw_origin(respond(head, tiny, huge, b"0\r\n\r\n")) as origin:
        assert await get(fetcher, origin.url) == numbers * 2_001


def endless(head: bytes, piece: bytes) -> Script:
    """Send a head, then one piece after another until the client closes the connection."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(head)
        while not writer.is_closing():
            writer.write(piece)
            await writer.drain()

    return script


@pytest.mark.parametrize(
    ("begin", "piece"),
    [
        (b"HTTP/1.1 200 OK\r\nX: ", b"x" * 10_000),
        (b"HTTP/1.1 200 OK\r\n", b"X: y\r\n" * 1_000),
        (b"HTTP/1.1 200 OK\r\nX: y", b"\r\n z" * 1_000),
        (b"HTTP/1.1 200 ", b"O" * 10_000),
        (b"", b"\r\n" * 1_000),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n",
            (b"X: " + b"y" * 1_000 + b"\r\n") * 9,
        ),
        (b"HTTP/1.1 103 x\r\nContent-Length: 5, 5\r\n\r\n", EARLY_HINTS[:-2] + b"X : y\r\n\r\n"),
    ],
    ids=["field", "fields", "folds", "reason", "empty-lines", "trailers", "repaired-interim"],
)
async def test_an_endless_head_is_a_lasting_defect(
    fetcher: Fetcher, begin: bytes, piece: bytes
) -> None:
    """No part of it is kept beyond the limit, and there is no second attempt."""
    async with raw_origin(endless(begin, piece)) as origin:
        with pytest.raises(BadResponse):
            await get(fetcher, origin.url)
