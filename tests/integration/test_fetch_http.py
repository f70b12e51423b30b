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
    Case("padded-length", response(b"Content-Length: %05000d" % len(BODY), body=BODY)),
    Case("folded-field", answer(BODY, b"X: a\r\n b")),
    Case("no-field", answer(BODY, b"PHP Warning", b"My Field: x")),
    Case("http-2", b"HTTP/2 200\r\n" + LENGTH + b"\r\n\r\n" + BODY),
    Case("created", response(LENGTH, status=b"201 Created"), reused=True),
    Case("transformed", response(LENGTH, status=b"203 Non-Authoritative"), reused=True),
    Case("unknown-status", response(LENGTH, status=b"218 This is fine"), reused=True),
    Case(
        "whole-range",
        response(
            LENGTH,
            b"Content-Range: bytes 0-%d/%d" % (len(BODY) - 1, len(BODY)),
            status=b"206 Partial Content",
        ),
        reused=True,
    ),
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
    "no-content": response(status=b"204 No Content", body=b""),
    "partial": response(LENGTH, status=b"206 Partial Content"),
    "switching": response(b"Upgrade: x", b"Connection: upgrade", status=b"101 x", body=b""),
    "not-http": b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
    "http-2-frames": b"\0\0\x12\4\0\0\0\0\0\0\3\0\0\0\x80",
}
BROKEN = {
    "not-yet": response(LENGTH, status=b"202 Accepted"),
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


def location(path: bytes, *fields: bytes) -> bytes:
    return response(
        b"Location: " + path, b"Content-Length: 0", *fields, status=b"302 Found", body=b""
    )


class RedirectingOrigin:
    """Answers by the path of a request. Records the heads of requests."""

    def __init__(self, routes: dict[bytes, bytes]) -> None:
        self._routes = routes
        self.heads: list[bytes] = []

    async def script(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while not reader.at_eof():
            try:
                head = await reader.readuntil(b"\r\n\r\n")
            except asyncio.IncompleteReadError:
                return
            self.heads.append(head)
            writer.write(self.answer(head))

    def answer(self, head: bytes) -> bytes:
        return self._routes.get(head.split(b" ")[1], answer(BODY))


class CookieWall(RedirectingOrigin):
    """Sends a client to the same URL until it returns a cookie."""

    def answer(self, head: bytes) -> bytes:
        if b"\r\nCookie: visit=1; lang=en\r\n" in head:
            return answer(BODY)
        target = head.split(b" ")[1]
        return location(target, b"Set-Cookie: visit=1; Path=/; HttpOnly", b"Set-Cookie: lang=en")


async def test_a_redirect_to_itself_with_a_cookie_ends(fetcher: Fetcher) -> None:
    """The cookie is returned within the fetch. The next fetch, perhaps of another customer, has none."""
    wall = CookieWall({})
    async with raw_origin(wall.script) as origin:
        for _ in range(2):
            assert await get(fetcher, origin.url) == BODY
    assert [b"Cookie" in head for head in wall.heads] == [False, True, False, True]


async def test_a_cookie_goes_to_no_other_host(fetcher: Fetcher) -> None:
    """Whatever its Domain says; and it returns with the next hop of its own host."""
    redirecting = RedirectingOrigin({})
    async with raw_origin(redirecting.script) as origin:
        port = str(origin.port).encode()
        redirecting._routes.update(
            {
                b"/1": location(
                    b"http://b.example:%b/2" % port, b"Set-Cookie: a=1; Domain=example"
                ),
                b"/2": location(b"http://a.example:%b/3" % port, b"Set-Cookie: b=2"),
            }
        )
        assert await get(fetcher, f"http://a.example:{origin.port}/1") == BODY
    cookies = [
        [line for line in head.split(b"\r\n") if line.startswith(b"Cookie")]
        for head in redirecting.heads
    ]
    assert cookies == [[], [], [b"Cookie: a=1"]]


@pytest.mark.parametrize(
    ("sent", "requested"),
    [
        (b"/caf\xe9.jpg", b"/caf%E9.jpg"),
        ("/Shot at\u202fAM.jpg".encode(), b"/Shot%20at%E2%80%AFAM.jpg"),
        ("/\u00e9\u3000\u00a0".encode(), b"/%C3%A9%E3%80%80%C2%A0"),
        (b"/a\x01b\x7f", b"/a%01b%7F"),
        (b"/./a/../b.jpg", b"/b.jpg"),
        (b"?q=\xff", b"/first?q=%FF"),
        (b"//a.example:PORT", b"/"),
        (b" other.jpg#fragment\t", b"/other.jpg"),
    ],
)
async def test_a_location_is_escaped_as_browsers_do(
    fetcher: Fetcher, sent: bytes, requested: bytes
) -> None:
    """Byte for byte, whatever the encoding of its text is."""
    redirecting = RedirectingOrigin({})
    async with raw_origin(redirecting.script) as origin:
        port = str(origin.port).encode()
        redirecting._routes[b"/first"] = location(sent.replace(b"PORT", port))
        assert await get(fetcher, f"http://a.example:{origin.port}/first") == BODY
    assert [head.split(b" ")[1] for head in redirecting.heads] == [b"/first", requested]
