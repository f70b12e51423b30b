"""Bodies with a content coding that nobody asked for, or with a name that is none."""

import asyncio
import gzip
import zlib
from collections.abc import AsyncIterator, Callable
from functools import partial
from ipaddress import ip_network

import brotli
import pytest

from consumer.fetching.fetcher import Fetcher, FetchPolicy
from consumer.fetching.http.content_codings import decoding_bytes
from core.errors import BadResponse, BrokenResponse, ImageFailure, TooLarge
from harness.raw_origin import (
    HANG_TIMEOUT_S,
    KeepAliveScript,
    Script,
    answer,
    get,
    raw_origin,
    read_until_closed,
    respond,
)

BODY = b"\xff\xd8\xff\xe0" + bytes(range(256)) * 100
LIMIT = len(BODY)
BUDGET = 6 * LIMIT


@pytest.fixture
async def fetcher() -> AsyncIterator[Fetcher]:
    """A fetcher that must hold no bytes at the end."""
    policy = FetchPolicy(
        allowed_networks=(ip_network("127.0.0.1/32"),),
        max_bytes=LIMIT,
        body_budget_bytes=BUDGET,
        total_timeout=HANG_TIMEOUT_S,
    )
    fetcher = Fetcher(policy)
    yield fetcher
    assert fetcher._budget.free == BUDGET
    await fetcher.close()


def coded(names: str, body: bytes) -> bytes:
    return answer(body, *[b"Content-Encoding: " + name.encode() for name in names.split(";")])


@pytest.mark.parametrize(
    "names",
    [
        "base64",
        "aws-chunked",
        "aws-chunked,",
        "utf-8",
        "UTF-8;identity",
        "binary",
        "none",
        "image/jpeg",
        "8bit",
        "zip, , unknown",
        "",
        "gzip",
        "deflate",
        "br",
        "br, gzip",
    ],
)
async def test_a_body_that_is_not_coded_is_taken_as_it_is(fetcher: Fetcher, names: str) -> None:
    """Whatever its head says. Common upload code writes such names for whole buckets."""
    async with raw_origin(respond(coded(names, BODY))) as origin:
        assert await get(fetcher, origin.url) == BODY


def bare_deflate(body: bytes) -> bytes:
    compressor = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return compressor.compress(body) + compressor.flush()


CODED = [
    ("gzip", gzip.compress(BODY)),
    ("x-gzip", gzip.compress(BODY[:1_000]) + gzip.compress(BODY[1_000:])),
    ("GZIP", gzip.compress(BODY) + b"surplus"),
    ("aws-chunked,gzip", gzip.compress(BODY)),
    ("aws-chunked;gzip", gzip.compress(BODY)),
    ("deflate", zlib.compress(BODY)),
    ("deflate", bare_deflate(BODY)),
    ("br", brotli.compress(BODY)),
    ("gzip, br", brotli.compress(gzip.compress(BODY))),
    ("gzip;gzip", gzip.compress(gzip.compress(BODY))),
]


@pytest.mark.parametrize(("names", "body"), CODED, ids=range(len(CODED)))
@pytest.mark.parametrize("chunked", [False, True])
async def test_a_coded_body_is_decoded(
    fetcher: Fetcher, names: str, body: bytes, chunked: bool
) -> None:
    """Up to the limit of a body, with any framing."""
    sent = coded(names, body)
    if chunked:
        sent = sent.replace(b"Content-Length: %d" % len(body), b"Transfer-Encoding: chunked")
        sent = sent.replace(body, b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body))
    async with raw_origin(respond(sent)) as origin:
        assert await get(fetcher, origin.url) == BODY


async def test_a_coded_transfer_is_decoded(fetcher: Fetcher) -> None:
    """Also one that was not asked for (RFC 9112, section 7.2), chunked or until the connection is closed."""
    body = gzip.compress(BODY)
    chunks = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip"
    for sent in (head + b", chunked\r\n\r\n" + chunks, head + b"\r\n\r\n" + body):
        async with raw_origin(respond(sent)) as origin:
            assert await get(fetcher, origin.url) == BODY


async def test_a_connection_with_a_coded_body_is_reused(fetcher: Fetcher) -> None:
    """Its framing is complete."""
    keep_alive = KeepAliveScript()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(coded("gzip", gzip.compress(BODY)))
        await keep_alive.script(reader, writer)

    async with raw_origin(script) as origin:
        assert await get(fetcher, origin.url) == BODY
        assert await get(fetcher, origin.url) == b"/picture.png"
        assert origin.connections == 1


def bomb(encode: Callable[[bytes], bytes]) -> bytes:
    return encode(bytes(200 * LIMIT))


FAILURES: dict[str, tuple[str, Callable[[], bytes], type[ImageFailure]]] = {
    "one-byte-more": ("gzip", lambda: gzip.compress(bytes(LIMIT + 1)), TooLarge),
    "gzip-bomb": ("gzip", lambda: bomb(gzip.compress), TooLarge),
    "deflate-bomb": ("deflate", lambda: bomb(zlib.compress), TooLarge),
    "brotli-bomb": ("br", lambda: bomb(partial(brotli.compress, quality=4)), TooLarge),
    "nested-bomb": ("gzip, gzip", lambda: gzip.compress(bomb(gzip.compress)), TooLarge),
    "gzip-cut": ("gzip", lambda: gzip.compress(BODY)[:-9], BrokenResponse),
    "gzip-empty-members": ("gzip", lambda: gzip.compress(b"") * 1_200, BrokenResponse),
    "brotli-cut": ("br", lambda: brotli.compress(BODY)[:-1], BrokenResponse),
    "brotli-damaged": ("br", lambda: b"<html>", BrokenResponse),
    "deflate-cut": ("deflate", lambda: zlib.compress(BODY)[:-5], BrokenResponse),
    "three-codings": ("gzip, gzip, gzip", lambda: gzip.compress(BODY), BadResponse),
}


@pytest.mark.parametrize("case", FAILURES)
async def test_a_bomb_or_a_damaged_body_is_a_failure(fetcher: Fetcher, case: str) -> None:
    """The limit applies to the decoded bytes. Damage may be gone at the next attempt."""
    names, make, failure = FAILURES[case]
    async with raw_origin(respond(coded(names, make()))) as origin:
        with pytest.raises(ImageFailure) as raised:
            await get(fetcher, origin.url)
    assert type(raised.value) is failure


def endless(head: bytes, piece: bytes) -> Script:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(head)
        while not writer.is_closing():
            writer.write(piece)
            await writer.drain()

    return script


async def test_an_endless_coded_body_is_too_large(fetcher: Fetcher) -> None:
    """The limit applies to the bytes that arrive too, if they decode to nothing."""
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n"
    async with raw_origin(endless(head, gzip.compress(b"") * 100)) as origin:
        with pytest.raises(TooLarge):
            await get(fetcher, origin.url)


async def test_a_coded_body_counts_with_its_decoded_bytes(fetcher: Fetcher) -> None:
    """Its declared size is that of the coded bytes. After it is decoded, only its own bytes stay reserved."""
    body = gzip.compress(BODY)
    begun, end = asyncio.Event(), asyncio.Event()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(coded("gzip", body)[:-1])
        begun.set()
        await end.wait()
        writer.write(body[-1:])
        await read_until_closed(reader, writer)

    async with raw_origin(script) as origin, asyncio.timeout(HANG_TIMEOUT_S):
        fetch = asyncio.create_task(fetcher.fetch(origin.url))
        await begun.wait()
        # No event announces a reservation.
        while fetcher._budget.free == BUDGET:  # noqa: ASYNC110  see above
            await asyncio.sleep(0)
        reserved = len(body) + decoding_bytes(("gzip",), len(body), LIMIT)
        assert fetcher._budget.free == BUDGET - reserved
        end.set()
        with await fetch as fetched:
            assert fetcher._budget.free == BUDGET - len(fetched.body)
