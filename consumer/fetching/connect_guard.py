"""SSRF guard at connect time: checks the address that a socket is about to connect to.

aiohttp calls the socket factory for each address of a host in turn, IP literals included, and
connects the socket to exactly that address. A check of the URL or of a DNS answer would be a second
lookup, which may give another address (DNS rebinding).
"""

import contextlib
import errno
import socket
from collections.abc import Iterator
from contextvars import ContextVar
from ipaddress import ip_address

from aiohttp import AddrInfoType

from consumer.fetching.address import BlockedReason, check_address
from consumer.fetching.networks import IPNetwork


class AddressBlocked(OSError):
    """Raised inside aiohttp, which treats it as a failed connection and tries the next address."""


_blocked: ContextVar[list[BlockedReason]] = ContextVar("connect_guard_blocked")


class ConnectGuard:
    """Checks addresses at connect time. `open_socket` is aiohttp's `socket_factory`.

    If another address of the host fails too, aiohttp may raise that error instead of ours. So the
    guard also records each blocked address for the current request. The context variable reaches
    the tasks in which aiohttp races addresses, because they start from the task of the request.
    """

    def __init__(
        self, allowed_networks: tuple[IPNetwork, ...] = (), *, nat64_allowed: bool = False
    ) -> None:
        self._allowed_networks = allowed_networks
        self._nat64_allowed = nat64_allowed

    @contextlib.contextmanager
    def record_blocked(self) -> Iterator[list[BlockedReason]]:
        """Collect the addresses that are blocked during this block."""
        blocked: list[BlockedReason] = []
        token = _blocked.set(blocked)
        try:
            yield blocked
        finally:
            _blocked.reset(token)

    def open_socket(self, addr_info: AddrInfoType) -> socket.socket:
        """Open the socket for one address. Raises AddressBlocked."""
        family, kind, protocol, _, address = addr_info
        reason = self._check(str(address[0]))
        if reason is None:
            sock = socket.socket(family, kind, protocol)
            sock.setblocking(False)
            return sock
        if (blocked := _blocked.get(None)) is not None:
            blocked.append(reason)
        raise AddressBlocked(errno.EACCES, "address blocked by the guard")

    def _check(self, text: str) -> BlockedReason | None:
        try:
            ip = ip_address(text)
        except ValueError:
            # The socket would resolve this name itself, without the guard.
            return BlockedReason(text, "not a numeric address", "RFC 6943, section 3.1.1")
        return check_address(ip, self._allowed_networks, nat64_allowed=self._nat64_allowed)
