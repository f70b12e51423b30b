"""Responses as real servers send them, through the whole system: what browsers display is published."""

import asyncio
import gzip

import brotli

from core.errors import FailureCode
from harness.images import sample
from harness.raw_origin import answer, raw_origin
from harness.system import System
from imageservice.v1 import image_service_pb2 as pb

JPEG = sample("rocket-progressive.jpg")
LENGTH = b"Content-Length: %d" % len(JPEG)
CHUNKED = b"Transfer-Encoding: chunked"
CHUNKS = b"%x\r\n%b\r\n0\r\n\r\n" % (len(JPEG), JPEG)


def response(*fields: bytes, status: bytes = b"200 OK", body: bytes = JPEG) -> bytes:
    return b"\r\n".join([b"HTTP/1.1 " + status, *fields, b"", body])


def redirect(location: bytes) -> bytes:
    return response(b"Location: " + location, b"Content-Length: 0", status=b"302 Found", body=b"")


PUBLISHED = {
    b"/base64": answer(JPEG, b"Content-Encoding: base64"),
    b"/aws-chunked": answer(JPEG, b"Content-Encoding: aws-chunked"),
    b"/mislabelled": answer(JPEG, b"Content-Encoding: br"),
    b"/gzip": answer(gzip.compress(JPEG), b"Content-Encoding: gzip"),
    b"/brotli": answer(brotli.compress(JPEG, quality=4), b"Content-Encoding: br"),
    b"/length-twice": response(LENGTH, LENGTH),
    b"/length-and-chunked": response(LENGTH, CHUNKED, body=CHUNKS),
    b"/long-field": answer(JPEG, b"X: " + b"x" * 60_000),
    b"/many-fields": answer(JPEG, *[b"X-%d: y" % number for number in range(300)]),
    b"/created": response(LENGTH, status=b"201 Created"),
    b"/transformed": response(LENGTH, status=b"203 Non-Authoritative"),
    b"/surplus": answer(JPEG) + b"<!-- cached -->",
    b"/latin-1": redirect(b"/caf\xe9.jpg"),
    b"/caf%E9.jpg": answer(JPEG),
}
REFUSED = {
    b"/lengths-differ": response(LENGTH, b"Content-Length: 5"),
    b"/no-content": response(status=b"204 No Content", body=b""),
    b"/head-too-large": answer(JPEG, *[b"X: " + b"x" * 1_000] * 80),
    b"/not-http": b"SSH-2.0-OpenSSH_9.6\r\n",
}


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    head = await reader.readuntil(b"\r\n\r\n")
    path = head.split(b" ")[1]
    if path == b"/cookie-wall":
        with_cookie = b"\r\nCookie: visit=1\r\n" in head
        again = response(
            b"Location: /cookie-wall",
            b"Set-Cookie: visit=1; Path=/",
            b"Content-Length: 0",
            status=b"302 Found",
            body=b"",
        )
        writer.write(answer(JPEG) if with_cookie else again)
    else:
        writer.write({**PUBLISHED, **REFUSED}[path])
    await writer.drain()


async def test_a_response_that_browsers_display_is_published(running: System) -> None:
    """All of them with the same content."""
    async with raw_origin(serve) as origin:
        base = f"http://127.0.0.1:{origin.port}"
        paths = [path.decode() for path in (*PUBLISHED, b"/cookie-wall")]
        ids = await asyncio.gather(*(running.submit(base + path) for path in paths))
        states = await running.wait_terminal(ids)
    ended = {path: states[each].state for path, each in zip(paths, ids, strict=True)}
    assert ended == dict.fromkeys(paths, pb.STATE_COMPLETED)
    assert len({states[each].image.metadata.sha256 for each in ids}) == 1


async def test_a_lasting_defect_has_one_attempt(running: System) -> None:
    """A repeated request would get the same response."""
    async with raw_origin(serve) as origin:
        base = f"http://127.0.0.1:{origin.port}"
        ids = await asyncio.gather(*(running.submit(base + path.decode()) for path in REFUSED))
        states = await running.wait_terminal(ids)
    failures = [states[each].failure for each in ids]
    assert [failure.attempts for failure in failures] == [1] * len(REFUSED)
    codes = {pb.FailureCode.Name(failure.code) for failure in failures}
    assert codes == {f"FAILURE_CODE_{FailureCode.BAD_RESPONSE}"}
