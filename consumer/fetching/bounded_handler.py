"""The protocol of a connection to an origin: what may arrive on it, and when."""

import select
from functools import partial
from typing import Any

import aiohttp
from aiohttp import StreamReader
from aiohttp.abc import AbstractResolver
from aiohttp.client_proto import ResponseHandler
from aiohttp.http import RawResponseMessage

from consumer.fetching.connect_guard import ConnectGuard
from core.aws.http.response_handler import PayloadErrorHandler

INTERIM = frozenset({100, *range(102, 200)})
"""Statuses after which the answer is still to come (RFC 9110, section 15.2). 101 would change the protocol, and is
final."""

MAX_QUEUED_MESSAGES = 16
"""Heads of responses that may wait to be read; an honest origin sends an interim one or two."""

MAX_FIELDS = 100
"""Header fields of a response, trailers included; Python's http.client takes as many."""

MAX_BARE_BYTES = 64 * 1_024
"""Bytes that may arrive without one of a body among them: heads, trailers, extensions of chunks. .NET's HttpClient
takes as long a head."""

SLICE_BYTES = 16 * 1_024


class BoundedHandler(PayloadErrorHandler):
    """Hangs up on an origin that sends more heads than are read, or anything that nobody asked for.

    aiohttp parses all that arrives into a queue without a bound and drops interim responses one by one. An endless run
    of them would fill the memory faster than it is read, and a read of a quarter of a megabyte alone holds ten
    thousand. Only bodies are charged to a budget, and they wait for it with the connection open: so whatever is no
    body is bounded here, and an answer is the last thing that may arrive.
    """

    heard = False
    """Whether anything has arrived in this exchange."""
    _resting = False
    _body: StreamReader | None = None
    """Of the answer, once its head is there."""
    _body_bytes = 0
    _bare_bytes = 0

    def rest(self) -> bool:
        """Wait for the next exchange, if the last ended where its answer did.

        Meanwhile the origin owes nothing: the first byte it sends ends the connection.
        """
        self._resting = True
        try:
            begun = self._parser.feed_eof() if self._parser is not None else None
        except aiohttp.http_exceptions.HttpProcessingError:
            return False
        return begun is None and not self.should_close and self.is_connected()

    def is_quiet(self) -> bool:
        """Whether it is open and nothing waits in its socket, where the loop may not have looked yet.

        What arrived before a request is no answer to it; and what can be read may also be the origin's end.
        """
        if self.transport is None or self.transport.is_closing():
            return False
        unread = select.poll()
        unread.register(self.transport.get_extra_info("socket").fileno(), select.POLLIN)
        return not unread.poll(0)

    def set_response_params(self, **params: Any) -> None:
        """Begin an exchange."""
        self.heard = self._resting = False
        self._body = None
        self._body_bytes = self._bare_bytes = 0
        super().set_response_params(max_headers=MAX_FIELDS, **params)

    def data_received(self, data: bytes) -> None:
        """Feed the parser in slices. Ends the connection with ClientPayloadError."""
        if self._resting:
            if self.transport is not None:
                self.transport.abort()
            return
        self.heard = self.heard or bool(data)
        # Nothing received still counts: aiohttp lets a paused parser go on in this way.
        for start in range(0, max(len(data), 1), SLICE_BYTES):
            # The loop may deliver what arrived during a TLS shutdown, after the exchange ended.
            if self.transport is None or self.transport.is_closing():
                return
            piece = data[start : start + SLICE_BYTES]
            if piece and self._body is not None and self._body.is_eof():
                self._hang_up("more than the answer")
                return
            super().data_received(piece)
            self._bound(len(piece))

    def feed_data(self, data: tuple[RawResponseMessage, StreamReader], size: int = 0) -> None:
        """Queue a head that was parsed, unless the answer is there already."""
        if self._body is not None:
            self._hang_up("more than the answer")
            return
        message, body = data
        if message.code not in INTERIM:
            self._body = body
        super().feed_data(data, size)

    def _bound(self, received: int) -> None:
        body_bytes = 0 if self._body is None else self._body.total_bytes
        self._bare_bytes = self._bare_bytes + received if body_bytes == self._body_bytes else 0
        self._body_bytes = body_bytes
        if len(self) > MAX_QUEUED_MESSAGES:
            self._hang_up("too many responses to one request")
        elif self._bare_bytes > MAX_BARE_BYTES:
            self._hang_up("too much beside the body")

    def _hang_up(self, reason: str) -> None:
        self.set_exception(aiohttp.ClientPayloadError(reason))
        if self.transport is not None:
            self.transport.abort()


# Connections that a stranger cannot flood.

_DNS_CACHE_S = 10


class BoundedConnector(aiohttp.TCPConnector):
    """Makes each connection through the guard, bounded, and keeps none; see ConnectionPool."""

    def __init__(self, resolver: AbstractResolver, guard: ConnectGuard) -> None:
        """The resolver stays the caller's to close."""
        super().__init__(
            # The worker's slots bound it; waiting here would count against the origin's time.
            limit=0,
            # Its own pool would let an origin flood an idle connection, or leave an answer in it for the next request.
            force_close=True,
            ttl_dns_cache=_DNS_CACHE_S,
            resolver=resolver,
            socket_factory=guard.open_socket,
        )
        # Private, but the only seam: aiohttp has no limit of its own and takes no protocol from
        # outside. tests/integration/test_fetch_floods.py fails where an update moves it.
        handler: type[ResponseHandler] = BoundedHandler
        self._factory = partial(handler, loop=self._loop)
