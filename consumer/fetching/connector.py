"""Connections that a stranger cannot flood."""

from functools import partial
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver
from aiohttp.client_proto import ResponseHandler

from consumer.fetching.connect_guard import ConnectGuard

MAX_QUEUED_MESSAGES = 16
"""Heads of responses that may wait to be read; an honest origin sends an interim one or two."""

SLICE_BYTES = 16 * 1_024

_DNS_CACHE_S = 10


class BoundedHandler(ResponseHandler):
    """Hangs up on an origin that sends more heads than are read, or anything that nobody asked for.

    aiohttp parses all that arrives into a queue without a bound and drops interim responses (RFC
    9110, section 15.2) one by one. An endless run of them would fill the memory faster than it is
    read, and a read of a quarter of a megabyte alone holds ten thousand.
    """

    _resting = False

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

    def set_response_params(self, **params: Any) -> None:
        """Begin an exchange."""
        self._resting = False
        super().set_response_params(**params)

    def data_received(self, data: bytes) -> None:
        """Feed the parser in slices. Ends the connection with ClientPayloadError."""
        if self._resting:
            if self.transport is not None:
                self.transport.abort()
            return
        # Nothing received still counts: aiohttp lets a paused parser go on in this way.
        for start in range(0, max(len(data), 1), SLICE_BYTES):
            # The loop may deliver what arrived during a TLS shutdown, after the exchange ended.
            if self.transport is None or self.transport.is_closing():
                return
            super().data_received(data[start : start + SLICE_BYTES])
            if len(self) > MAX_QUEUED_MESSAGES:
                self._hang_up()

    def _hang_up(self) -> None:
        self.set_exception(aiohttp.ClientPayloadError("too many responses to one request"))
        if self.transport is not None:
            self.transport.abort()


class BoundedConnector(aiohttp.TCPConnector):
    """Makes each connection through the guard, bounded, and keeps none; see IdleConnections."""

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
