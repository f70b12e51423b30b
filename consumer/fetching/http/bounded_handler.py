"""Limits on what an origin may send on a connection, and when."""

import asyncio
import select
from typing import Any

from aiohttp import StreamReader
from aiohttp.abc import AbstractResolver

from consumer.fetching.connect_guard import ConnectGuard
from consumer.fetching.http.response_head import (
    MAX_HEAD_BYTES,
    MAX_HEADER_FIELDS,
    LastingDefect,
    find_head_end,
    may_begin_head,
    repair_head,
)
from core.aiohttp_internals import HandlerConnector, PayloadErrorHandler, RawResponseMessage

INTERIM_STATUSES = frozenset({100, *range(102, 200)})
"""Statuses that precede the final response (RFC 9110, section 15.2). 101 changes the protocol and is final."""

MAX_QUEUED_MESSAGES = 16
"""Response heads that may wait to be read. An honest origin sends one or two interim responses."""

MAX_NON_BODY_BYTES = MAX_HEAD_BYTES
"""Consecutive bytes without a body byte: heads, trailers, chunk extensions."""

SLICE_BYTES = 16 * 1_024

_EMPTY_LINES = (b"\r\n", b"\n")
"""May follow a response (RFC 9112, section 2.2)."""
_LINE_ENDS = (b"\r", b"\n")

_WITH_IMAGE = frozenset({200, 201, 203})
_DNS_CACHE_S = 10


class BoundedHandler(PayloadErrorHandler):
    """Closes the connection if an origin sends too many heads, or bytes that belong to no response.

    aiohttp parses everything that arrives into an unbounded queue, and drops interim responses one by one. An endless
    run of interim responses would fill the memory faster than it is read: one read of 256 KB holds ten thousand of
    them. Only bodies are charged to the byte budget, and a body waits for the budget with its connection open. So this
    class limits everything else, and accepts nothing after the response.

    The parser gets a head when it is complete, so that it can be repaired.
    """

    has_received = False
    """Whether any byte of the current response has arrived."""
    _idle = False
    _unread: "select.poll | None" = None
    """Polls the socket."""
    _body: StreamReader | None = None
    """Body of the final response, set when its head is parsed."""
    _declared_bytes = 0
    """Size of the final response's body if its head declares it, else 0."""
    _body_bytes = 0
    _non_body_bytes = 0

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop=loop)
        self._incomplete_head = bytearray()
        """Also what a server that speaks first has sent before the first request."""

    def become_idle(self) -> bool:
        """Wait for the next request. Returns False if the connection cannot be reused.

        While the connection is idle, the first byte from the origin closes it.
        """
        self._idle = True
        return self.end_input() and not self.should_close and self.is_connected()

    def is_reusable(self) -> bool:
        """Return whether the connection is open and its socket has nothing to read.

        The event loop may not have polled the socket yet. Bytes that arrived before a request are not its response,
        and a readable socket may also mean that the origin closed it.
        """
        if self.transport is None or self.transport.is_closing():
            return False
        if self._unread is None:
            self._unread = select.poll()
            self._unread.register(self.transport.get_extra_info("socket").fileno(), select.POLLIN)
        return not self._unread.poll(0)

    def set_response_params(self, **params: Any) -> None:
        self.has_received = self._idle = False
        self._body = None
        self._declared_bytes = self._body_bytes = self._non_body_bytes = 0
        super().set_response_params(
            max_headers=MAX_HEADER_FIELDS,
            max_line_size=MAX_HEAD_BYTES,
            max_field_size=MAX_HEAD_BYTES,
            **params,
        )
        if self._incomplete_head:
            early, self._incomplete_head = bytes(self._incomplete_head), bytearray()
            self.data_received(early)

    def data_received(self, data: bytes) -> None:
        """Feed the parser head by head, then the body in slices, and check the limits after each of them.

        Over a limit, the connection is aborted, and its reader gets LastingDefect.
        """
        if self._idle:
            if self.transport is not None:
                self.transport.abort()
            return
        self.has_received = self.has_received or bool(data)
        if self._parser is None:
            self._incomplete_head += data
            self._check_incomplete_head()
            return
        while self._body is None:
            head, data = self._split_head(data)
            if not head or not self._is_open():
                return
            self._feed_head(head)
            if not data:
                return
        self._feed_body(data)

    def _is_open(self) -> bool:
        # The loop may deliver bytes of a TLS shutdown after the response ended.
        return self.transport is not None and not self.transport.is_closing()

    def _split_head(self, data: bytes) -> tuple[bytes, bytes]:
        """Return the first head and the bytes behind it. The head is empty, and `data` kept, if it is incomplete."""
        kept = self._incomplete_head
        if not kept:
            if data.startswith(_LINE_ENDS):
                data = self._skip_empty_lines(data)
            end = find_head_end(data, 0)
            if end >= 0:
                return data[:end], data[end:]
        searched = max(0, len(kept) - 2)
        kept += data
        end = find_head_end(kept, searched)
        if end < 0:
            self._check_incomplete_head()
            return b"", b""
        self._incomplete_head = bytearray()
        return bytes(kept[:end]), bytes(kept[end:])

    def _skip_empty_lines(self, data: bytes) -> bytes:
        """Return `data` without the empty lines before a head (RFC 9112, section 2.2).

        Each would be a head of its own, and copy what is left of the read: 256 KB of them would stop the event loop for
        seconds.
        """
        head = data.lstrip(b"\r\n")
        self._non_body_bytes += len(data) - len(head)
        return head

    def _check_incomplete_head(self) -> None:
        if self._non_body_bytes + len(self._incomplete_head) > MAX_NON_BODY_BYTES:
            self._abort_with("its head is too large")
        elif not may_begin_head(self._incomplete_head):
            self._abort_with("it is not HTTP")

    def _feed_head(self, head: bytes) -> None:
        try:
            repaired = repair_head(head)
        except LastingDefect as defect:
            self._abort_with(str(defect))
            return
        if repaired is not head:
            self.force_close()
        super().data_received(repaired)
        self._check_limits(len(head))

    def _feed_body(self, data: bytes) -> None:
        start, end = 0, len(data)
        # An empty chunk must reach the parser: aiohttp resumes a paused parser with it.
        while self._is_open() and self._body is not None:
            if data and self._body.is_eof():
                if data[start:] not in _EMPTY_LINES:
                    self._abort_with("bytes after the response")
                return
            piece = data[start : start + self._slice_bytes(self._body)]
            super().data_received(piece)
            self._check_limits(len(piece))
            start += len(piece)
            if start >= end:
                return

    def _slice_bytes(self, body: StreamReader) -> int:
        """Return how many bytes are parsed at a time. A body of declared size needs no checks in between.

        Its slice ends with it, so that the parser gets no surplus bytes, which it would refuse together with the body.
        """
        left = self._declared_bytes - body.total_bytes
        return left if left > 0 else SLICE_BYTES

    def feed_data(self, data: tuple[RawResponseMessage, StreamReader], size: int = 0) -> None:
        """Queue a parsed head. Aborts if the final response has arrived already."""
        if self._body is not None:
            self._abort_with("bytes after the response")
            return
        message, body = data
        if message.code not in INTERIM_STATUSES:
            self._body = body
            if message.code in _WITH_IMAGE and not message.chunked:
                length = message.headers.get("Content-Length", "")
                self._declared_bytes = int(length) if length.isdecimal() else 0
        super().feed_data(data, size)

    def _check_limits(self, received: int) -> None:
        body_bytes = 0 if self._body is None else self._body.total_bytes
        if body_bytes == self._body_bytes:
            self._non_body_bytes += received
        else:
            self._non_body_bytes = 0
        self._body_bytes = body_bytes
        if len(self) > MAX_QUEUED_MESSAGES:
            self._abort_with("there are too many responses")
        elif self._non_body_bytes > MAX_NON_BODY_BYTES:
            self._abort_with("its head is too large")

    def _abort_with(self, reason: str) -> None:
        self.set_exception(LastingDefect(reason))
        if self.transport is not None:
            self.transport.abort()


class BoundedConnector(HandlerConnector):
    """Makes guarded connections with BoundedHandler. It keeps no connection; see ConnectionPool."""

    def __init__(self, resolver: AbstractResolver, guard: ConnectGuard) -> None:
        """`resolver` is not closed by the connector."""
        super().__init__(
            BoundedHandler,
            # The worker's slots limit connections. A wait here would count against the origin's time.
            limit=0,
            # aiohttp's own pool would let an origin flood an idle connection, or leave bytes for the next request.
            force_close=True,
            ttl_dns_cache=_DNS_CACHE_S,
            resolver=resolver,
            socket_factory=guard.open_socket,
        )
