"""Connections that a stranger cannot flood."""

from functools import partial

import aiohttp
from aiohttp.abc import AbstractResolver
from aiohttp.client_proto import ResponseHandler

from consumer.fetching.bounded_handler import BoundedHandler
from consumer.fetching.connect_guard import ConnectGuard

_DNS_CACHE_S = 10


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
