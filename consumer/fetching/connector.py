"""Connections that a stranger cannot flood."""

from functools import partial

import aiohttp
from aiohttp.abc import AbstractResolver
from aiohttp.client_proto import ResponseHandler

from consumer.fetching.connect_guard import ConnectGuard

MAX_QUEUED_MESSAGES = 16
"""Heads of responses that may wait to be read; an honest origin sends an interim one or two."""

SLICE_BYTES = 16 * 1_024

_DNS_CACHE_S = 10


class BoundedHandler(ResponseHandler):
    """Hangs up on an origin that sends more heads than are read.

    aiohttp parses all that arrives into a queue without a bound and drops interim responses (RFC
    9110, section 15.2) one by one. An endless run of them would fill the memory faster than it is
    read, and a read of a quarter of a megabyte alone holds ten thousand.
    """

    def data_received(self, data: bytes) -> None:
        """Feed the parser in slices. Ends the connection with ClientPayloadError."""
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
    """Makes each connection through the guard, bounded, and for one exchange only."""

    def __init__(self, resolver: AbstractResolver, guard: ConnectGuard) -> None:
        """The resolver stays the caller's to close."""
        super().__init__(
            # The worker's slots bound it; waiting here would count against the origin's time.
            limit=0,
            # Nobody reads what arrives on an idle connection, so nobody would stop a flood of it.
            force_close=True,
            ttl_dns_cache=_DNS_CACHE_S,
            resolver=resolver,
            socket_factory=guard.open_socket,
        )
        # Private, but the only seam: aiohttp has no limit of its own and takes no protocol from
        # outside. tests/integration/test_fetch_floods.py fails where an update moves it.
        handler: type[ResponseHandler] = BoundedHandler
        self._factory = partial(handler, loop=self._loop)
