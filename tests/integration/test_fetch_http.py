"""Responses as real servers send them: framing, heads and statuses that browsers accept."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from consumer.fetching.fetcher import Fetcher
from consumer.fetching.http.response_head import MAX_HEAD_BYTES
from core.errors import BadResponse, BrokenResponse, ImageFailure
from harness.raw_origin import Script, answer, get, raw_origin, read_until_closed, two_names

BODY = b"\xff\xd8\xff\xe0" + bytes(range(256)) * 20
LENGTH = b"Content-Length: %d" % len(BODY)
CHUNKED = b"Transfer-Encoding: chunked"
CHUNKS = b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY)


def response(*fields: bytes, status: bytes = b"200 OK", body: bytes = BODY) -> bytes:
    return b"\r\n".join([b"HTTP/1.1 " + status, *fields, b"", body])


@dataclass(frozen=True, slots=True)
class Case:
    """A response of an honest server. `reused`: whether its connection may serve another request."""

    name: str
    sent: bytes
    reused: bool = False


CASES = (
    Case("plain", answer(BODY), reused=True),
    Case("chunked", response(CHUNKED, body=CHUNKS), reused=True),
    Case("length-twice", response(LENGTH, LENGTH)),
    Case("length-list", response(LENGTH + b", %d" % len(BODY))),
    Case("length-then-chunked", response(b"Content-Length: 5", CHUNKED, body=CHUNKS)),
    Case("chunked-then-length", response(CHUNKED, b"Content-Length: 5", body=CHUNKS)),
    Case("chunked-twice", response(CHUNKED, CHUNKED, body=CHUNKS)),
    Case("identity-and-length", response(b"Transfer-Encoding: identity", LENGTH)),
    Case("long-field", answer(BODY, b"X: " + b"x" * 9_000), reused=True),
    Case("longest-field", answer(BODY, b"X: " + b"x" * 65_000), reused=True),
    Case("many-fields", answer(BODY, *[b"X-%d: y" % n for n in range(130)]), reused=True),
    Case("long-head", answer(BODY, *[b"X-%d: " % n + b"y" * 900 for n in range(70)]), reused=True),
    Case("line-feeds", response(LENGTH, body=b"").replace(b"\r\n", b"\n") + BODY),
    Case("folded-field", answer(BODY, b"X: a\r\n b")),
    Case("no-field", answer(BODY, b"PHP Warning", b"My Field: x")),
    Case("http-2", b"HTTP/2 200\r\n" + LENGTH + b"\r\n\r\n" + BODY),
    Case("surplus-text", answer(BODY) + b"<!-- served by 10 -->"),
    Case("surplus-zeros", answer(BODY) + bytes(30_000)),
    Case("surplus-chunk", response(CHUNKED, body=CHUNKS) + b"text"),
    Case("surplus-response", answer(BODY) + answer(b"forged")),
    Case("surplus-after-close", answer(BODY, b"Connection: close") + b"text"),
)


@pytest.fixture
async def fetcher() -> AsyncIterator[Fetcher]:
    async with two_names() as opened:
        yield opened


def sending(sent: bytes, pieces: int = 1) -> Script:
    """Answer each request of a connection until the client closes it."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while not reader.at_eof():
            try:
                await reader.readuntil(b"\r\n\r\n")
            except asyncio.IncompleteReadError:
                return
            size = -(-len(sent) // pieces)
            for start in range(0, len(sent), size):
                writer.write(sent[start : start + size])
                await writer.drain()

    return script


@pytest.mark.parametrize("pieces", [1, 40])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_a_response_that_browsers_accept_is_fetched(
    fetcher: Fetcher, case: Case, pieces: int
) -> None:
    """Its connection is reused only if nobody can disagree about its end."""
    async with raw_origin(sending(case.sent, pieces)) as origin:
        assert await get(fetcher, origin.url) == BODY
        assert await get(fetcher, origin.url) == BODY
        assert origin.connections == (1 if case.reused else 2)


@pytest.mark.parametrize("gap", [answer(BODY), response(CHUNKED, body=CHUNKS)])
async def test_surplus_that_arrives_later_costs_no_image(fetcher: Fetcher, gap: bytes) -> None:
    """The connection is closed, read or unread."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(gap)
        await writer.drain()
        writer.write(b"surplus")
        await read_until_closed(reader, writer)

    async with raw_origin(script) as origin:
        for _ in range(3):
            assert await get(fetcher, origin.url) == BODY


LASTING = {
    "lengths-differ": response(b"Content-Length: 5", LENGTH),
    "length-list-differs": response(b"Content-Length: 5, 6"),
    "length-is-text": response(b"Content-Length: many"),
    "length-is-negative": response(b"Content-Length: -1"),
    "head-too-large": answer(BODY, *[b"X: " + b"y" * 1_000] * 80),
    "field-too-large": answer(BODY, b"X: " + b"x" * MAX_HEAD_BYTES),
    "too-many-fields": answer(BODY, *[b"X: y"] * 1_100),
    "not-http": b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
    "http-2-frames": b"\0\0\x12\4\0\0\0\0\0\0\3\0\0\0\x80",
}
BROKEN = {
    "short": answer(BODY)[:-1],
    "no-last-chunk": response(CHUNKED, body=CHUNKS[:-5]),
    "no-end-of-last-chunk": response(CHUNKED, body=CHUNKS[:-2]),
    "not-a-chunk": response(CHUNKED, body=b"xyz\r\n"),
}


@pytest.mark.parametrize(
    ("sent", "failure"),
    [(sent, BadResponse) for sent in LASTING.values()]
    + [(sent, BrokenResponse) for sent in BROKEN.values()],
    ids=[*LASTING, *BROKEN],
)
async def test_a_lasting_defect_is_permanent_and_a_broken_body_transient(
    fetcher: Fetcher, sent: bytes, failure: type[ImageFailure]
) -> None:
    """A repeated request gets the same head. A body may arrive whole the next time."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(sent)
        await writer.drain()
        writer.write_eof()
        await read_until_closed(reader, writer)

    async with raw_origin(script) as origin:
        with pytest.raises(ImageFailure) as raised:
            await get(fetcher, origin.url)
    assert type(raised.value) is failure
