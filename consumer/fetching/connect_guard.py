"""SSRF guard at connect time: checks the address that a socket is about to connect to.

aiohttp calls the socket factory for each address of a host in turn, IP literals included, and
connects the socket to exactly that address. A check of the URL or of a DNS answer would be a second
lookup, which may give another address (DNS rebinding).
"""

import errno
import socket
from contextvars import ContextVar
from ipaddress import ip_address
from typing import Self

from aiohttp import AddrInfoType

from consumer.fetching.address import BlockedReason, check_address
from consumer.fetching.limits.address_limiter import Address, AddressBusy, AddressLimiter, Visit
from consumer.fetching.networks import IPNetwork


class AddressBlocked(OSError):
    """Raised inside aiohttp, which treats it as a failed connection and tries the next address."""


class Connects:
    """What became of the addresses to which one request tried to connect. A context manager: it records in its block.

    `blocked` are the addresses that are forbidden, `busy` the last one that gets no connection at present.
    """

    __slots__ = ("_limiter", "_token", "_visits", "blocked", "busy", "customer_id")

    def __init__(self, limiter: AddressLimiter, customer_id: str) -> None:
        self._limiter = limiter
        self.customer_id = customer_id
        self._visits: list[Visit] = []
        self.blocked: list[BlockedReason] = []
        self.busy: AddressBusy | None = None

    def __enter__(self) -> Self:
        self._token = _connects.set(self)
        return self

    def __exit__(self, *_: object) -> None:
        _connects.reset(self._token)

    def enter(self, address: Address) -> None:
        """Raises AddressBusy."""
        try:
            self._visits.append(self._limiter.enter(address, self.customer_id))
        except AddressBusy as busy:
            self.busy = busy
            raise

    def answer(self) -> None:
        """Record that an answer has begun to arrive. It came from the last address."""
        if self._visits:
            self._limiter.answer(self._visits[-1])

    def leave(self, *, timed_out: bool) -> None:
        """End the request."""
        for visit in self._visits:
            self._limiter.leave(visit, timed_out=timed_out)


_connects: ContextVar[Connects] = ContextVar("connect_guard_connects")


def current_customer() -> str:
    """Return the customer of the current request, empty outside of one."""
    connects = _connects.get(None)
    return "" if connects is None else connects.customer_id


class ConnectGuard:
    """Checks addresses at connect time. `open_socket` is aiohttp's `socket_factory`.

    If another address of the host fails too, aiohttp may raise that error instead of ours. So the
    guard also records each address that was blocked or busy for the current request. The context variable reaches
    the tasks in which aiohttp races addresses, because they start from the task of the request.
    """

    def __init__(
        self,
        allowed_networks: tuple[IPNetwork, ...] = (),
        *,
        nat64_allowed: bool = False,
        waiting_per_address: int = 8,
    ) -> None:
        """`waiting_per_address` is the limit of an AddressLimiter."""
        self._allowed_networks = allowed_networks
        self._nat64_allowed = nat64_allowed
        self.addresses = AddressLimiter(waiting_per_address)

    def record_connects(self, customer_id: str) -> Connects:
        """Return the record of one request."""
        return Connects(self.addresses, customer_id)

    def open_socket(self, addr_info: AddrInfoType) -> socket.socket:
        """Open the socket for one address. Raises AddressBlocked or AddressBusy."""
        family, kind, protocol, _, address = addr_info
        connects = _connects.get(None)
        text = str(address[0])
        try:
            ip = ip_address(text)
        except ValueError:
            # The socket would resolve this name itself, without the guard.
            reason: BlockedReason | None = BlockedReason(
                text, "not a numeric address", "RFC 6943, section 3.1.1"
            )
        else:
            reason = check_address(ip, self._allowed_networks, nat64_allowed=self._nat64_allowed)
            if reason is None and connects is not None:
                connects.enter(ip)
        if reason is None:
            sock = socket.socket(family, kind, protocol)
            sock.setblocking(False)
            return sock
        if connects is not None:
            connects.blocked.append(reason)
        raise AddressBlocked(errno.EACCES, "address blocked by the guard")
