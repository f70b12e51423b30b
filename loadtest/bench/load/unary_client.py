"""A unary gRPC client of minimal cost, which writes and reads HTTP/2 frames directly.

A grpc.aio client takes as much CPU per call as the server under test; on two cores it would limit the server. This
client sends one fixed request and distinguishes only OK from an error. Frames: RFC 9113. Headers: RFC 7541 without a
dynamic table. gRPC: PROTOCOL-HTTP2.md.
"""

import asyncio
from collections.abc import Callable
from typing import cast

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
FRAME_HEAD = 9
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
END_STREAM, END_HEADERS, ACK = 1, 4, 1

_HEADER_TABLE_SIZE, _INITIAL_WINDOW_SIZE = 1, 4
_LARGEST_WINDOW = 2**31 - 1
_FIRST_WINDOW = 65_535
_POST, _HTTP = b"\x83", b"\x86"
_OK = b"grpc-status\x010"
"""The trailer as a literal. Our settings forbid the peer a dynamic table."""


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return (
        len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload
    )


def _literal(name: str, value: str) -> bytes:
    """Encode a header without indexing. Name and value must be shorter than 127 bytes."""
    return b"\x00" + bytes((len(name),)) + name.encode() + bytes((len(value),)) + value.encode()


def request_headers(path: str, authority: str) -> bytes:
    named = (
        (":path", path),
        (":authority", authority),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
    )
    return _POST + _HTTP + b"".join(_literal(name, value) for name, value in named)


def grpc_message(encoded: bytes) -> bytes:
    """Frame one uncompressed message."""
    return b"\x00" + len(encoded).to_bytes(4, "big") + encoded


class UnaryClient(asyncio.Protocol):
    """Keeps `in_flight` calls of one request in flight on one connection.

    `answered` counts the calls that ended OK. `failed` is called with the reason if a call or the connection fails.
    """

    def __init__(
        self, headers: bytes, message: bytes, in_flight: int, failed: Callable[[str], None]
    ) -> None:
        self._headers = headers
        self._message = message
        self._in_flight = in_flight
        self._failed = failed
        self._stream = 1
        self._buffer = b""
        self._transport: asyncio.Transport | None = None
        self.answered = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        settings = b"".join(
            key.to_bytes(2, "big") + value.to_bytes(4, "big")
            for key, value in ((_HEADER_TABLE_SIZE, 0), (_INITIAL_WINDOW_SIZE, _LARGEST_WINDOW))
        )
        room = (_LARGEST_WINDOW - _FIRST_WINDOW).to_bytes(4, "big")
        opening = PREFACE + frame(SETTINGS, 0, 0, settings) + frame(WINDOW_UPDATE, 0, 0, room)
        self._transport.write(opening + b"".join(self._call() for _ in range(self._in_flight)))

    def connection_lost(self, error: Exception | None) -> None:
        self._failed(f"the connection ended: {error}")

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer + data
        at = 0
        answers = []
        while len(buffer) - at >= FRAME_HEAD:
            end = at + FRAME_HEAD + int.from_bytes(buffer[at : at + 3], "big")
            if len(buffer) < end:
                break
            answers.append(
                self._frame(buffer[at + 3], buffer[at + 4], buffer[at + FRAME_HEAD : end])
            )
            at = end
        self._buffer = buffer[at:]
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(b"".join(answers))

    def _frame(self, kind: int, flags: int, payload: bytes) -> bytes:
        """Handle one frame and return the bytes to send in response."""
        if kind == HEADERS and flags & END_STREAM:
            if _OK not in payload:
                self._failed(f"a call ended with {payload!r}")
                return b""
            self.answered += 1
            return self._call()
        if kind in (SETTINGS, PING) and not flags & ACK:
            return frame(kind, ACK, 0, payload if kind == PING else b"")
        if kind in (RST_STREAM, GOAWAY):
            self._failed(f"the server closed the stream: {payload!r}")
        return b""

    def _call(self) -> bytes:
        stream = self._stream
        self._stream += 2
        return frame(HEADERS, END_HEADERS, stream, self._headers) + frame(
            DATA, END_STREAM, stream, self._message
        )
