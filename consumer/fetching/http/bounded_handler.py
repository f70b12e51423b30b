"""Limits on what an origin may send on a connection, and when."""

import select
from typing import Any

import aiohttp
from aiohttp import StreamReader
from aiohttp.abc import AbstractResolver

from consumer.fetching.connect_guard import ConnectGuard
from core.aiohttp_internals import HandlerConnector, PayloadErrorHandler, RawResponseMessage

INTERIM_STATUSES = frozenset({100, *range(102, 200)})
"""Statuses that precede the final response (RFC 9110, section 15.2). 101 changes the protocol and is final."""

MAX_QUEUED_MESSAGES = 16
"""Response heads that may wait to be read. An honest origin sends one or two interim responses."""

MAX_HEADER_FIELDS = 100
"""Header fields of a response, trailers included. Python's http.client has the same limit."""

MAX_NON_BODY_BYTES = 64 * 1_024
"""Consecutive bytes without a body byte: heads, trailers, chunk extensions. .NET limits a head to the same size."""

SLICE_BYTES = 16 * 1_024

_HEAD_END = b"\r\n\r\n"
_OK = 200
_DNS_CACHE_S = 10


class BoundedHandler(PayloadErrorHandler):
    """Closes the connection if an origin sends too many heads, or bytes that belong to no response.

    aiohttp parses everything that arrives into an unbounded queue, and drops interim responses one by one. An endless
    run of interim responses would fill the memory faster than it is read: one read of 256 KB holds ten thousand of
    them. Only bodies are charged to the byte budget, and a body waits for the budget with its connection open. So this
    class limits everything else, and accepts nothing after the response.
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
        super().set_response_params(max_headers=MAX_HEADER_FIELDS, **params)

    def data_received(self, data: bytes) -> None:
        """Feed the parser in slices, and check the limits after each slice.

        Over a limit, the connection is aborted, and its reader gets ClientPayloadError.
        """
        if self._idle:
            if self.transport is not None:
                self.transport.abort()
            return
        self.has_received = self.has_received or bool(data)
        start, end = 0, len(data)
        # The first slice ends with the head. So a body that has arrived is one piece, and is not copied again.
        size = self._slice_bytes()
        if self._body is None and (head_end := data.find(_HEAD_END, 0, size)) >= 0:
            size = head_end + len(_HEAD_END)
        while True:
            # The loop may deliver bytes of a TLS shutdown after the response ended.
            if self.transport is None or self.transport.is_closing():
                return
            if data and self._body is not None and self._body.is_eof():
                self._abort_with("bytes after the response")
                return
            piece = data[start : start + size]
            # An empty chunk must reach the parser: aiohttp resumes a paused parser with it.
            super().data_received(piece)
            self._check_limits(len(piece))
            start += len(piece)
            if start >= end:
                return
            size = self._slice_bytes()

    def _slice_bytes(self) -> int:
        """Return how many bytes are parsed at a time. The rest of a body needs no checks in between."""
        if self._body is None:
            return SLICE_BYTES
        return max(SLICE_BYTES, self._declared_bytes - self._body.total_bytes)

    def feed_data(self, data: tuple[RawResponseMessage, StreamReader], size: int = 0) -> None:
        """Queue a parsed head. Aborts if the final response has arrived already."""
        if self._body is not None:
            self._abort_with("bytes after the response")
            return
        message, body = data
        if message.code not in INTERIM_STATUSES:
            self._body = body
            if message.code == _OK and not message.chunked:
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
            self._abort_with("too many responses to one request")
        elif self._non_body_bytes > MAX_NON_BODY_BYTES:
            self._abort_with("too many bytes outside the body")

    def _abort_with(self, reason: str) -> None:
        self.set_exception(aiohttp.ClientPayloadError(reason))
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
