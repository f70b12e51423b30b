"""The framing of one HTTP/1.1 connection to the null AWS."""

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_TARGET = re.compile(rb"\r\nx-amz-target: *([\w.]+)", re.IGNORECASE)
_EXPECT = re.compile(rb"\r\nexpect: *100-continue", re.IGNORECASE)
_HEAD_END = b"\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Request:
    """`target` is the value of X-Amz-Target ("DynamoDB_20120810.BatchGetItem"), or empty."""

    method: str
    path: str
    target: str
    body: bytes


class Connection(asyncio.Protocol):
    """Serves requests one at a time and in order; pipelined requests wait in the buffer.

    Only Content-Length delimits a body, because every AWS call of this project has one. The callback that serves a
    request must call `answer` once, at any later time.
    """

    def __init__(self, serve: Callable[[Request, "Connection"], None]) -> None:
        self._serve = serve
        self._buffer = bytearray()
        self._busy = False
        self._head: Request | None = None
        self._body_start = 0
        self._end = 0
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002  required by asyncio.Protocol
        self._transport = None

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        self._advance()

    @property
    def closed(self) -> bool:
        """Whether the peer has disconnected."""
        return self._transport is None

    def answer(self, response: bytes) -> None:
        """Send a complete HTTP response."""
        self._busy = False
        if self._transport is not None:
            self._transport.write(response)
            self._advance()

    def _advance(self) -> None:
        while not self._busy and (request := self._next()) is not None:
            self._busy = True
            self._serve(request, self)

    def _next(self) -> Request | None:
        if self._head is None and not self._read_head():
            return None
        head = self._head
        if head is None or len(self._buffer) < self._end:
            return None
        body = bytes(self._buffer[self._body_start : self._end])
        del self._buffer[: self._end]
        self._head = None
        return Request(head.method, head.path, head.target, body)

    def _read_head(self) -> bool:
        at = self._buffer.find(_HEAD_END)
        if at < 0:
            return False
        text = bytes(self._buffer[:at])
        method, path, _ = text[: (text + b"\r\n").index(b"\r\n")].decode("latin-1").split(" ", 2)
        length, target = _LENGTH.search(text), _TARGET.search(text)
        self._head = Request(method, path, target[1].decode() if target else "", b"")
        self._body_start = at + len(_HEAD_END)
        self._end = self._body_start + (int(length[1]) if length else 0)
        if _EXPECT.search(text) and self._transport is not None:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        return True
