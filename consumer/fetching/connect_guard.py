"""The guard at the socket: the only place that sees the address a connection is really made to.

aiohttp calls the socket factory for each address of a host in turn, literals included, and connects
the socket to that very address. A check of the URL or of a DNS answer would be another look-up.
"""

import contextlib
import errno
import socket
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field
from ipaddress import ip_address

from aiohttp import AddrInfoType

from consumer.fetching.address import Refusal, check_address
from consumer.fetching.networks import IPNetwork


class AddressRefused(OSError):
    """Raised inside aiohttp, which takes it for a failed connection and tries the next address."""


@dataclass(slots=True)
class Recording:
    """What the guard refused while one request was being connected."""

    refusals: list[Refusal] = field(default_factory=list)


_current: ContextVar[Recording] = ContextVar("connect_guard_recording")


class ConnectGuard:
    """Judges addresses at connect time; `open_socket` is aiohttp's `socket_factory`.

    aiohttp may hide a refusal behind whatever another address of the host failed with, so each is
    also recorded for the request that is being made. The context variable reaches the tasks that
    aiohttp races addresses in, because they are started from the request's own.
    """

    def __init__(
        self, allowed_networks: tuple[IPNetwork, ...] = (), *, nat64_allowed: bool = False
    ) -> None:
        self._allowed_networks = allowed_networks
        self._nat64_allowed = nat64_allowed

    @contextlib.contextmanager
    def recording(self) -> Iterator[Recording]:
        """Collect the refusals of the requests made in this block."""
        recording = Recording()
        token = _current.set(recording)
        try:
            yield recording
        finally:
            _current.reset(token)

    def open_socket(self, addr_info: AddrInfoType) -> socket.socket:
        """Make the socket for one address. Raises AddressRefused."""
        family, kind, protocol, _, address = addr_info
        refusal = self._judge(str(address[0]))
        if refusal is None:
            sock = socket.socket(family, kind, protocol)
            sock.setblocking(False)
            return sock
        if (recording := _current.get(None)) is not None:
            recording.refusals.append(refusal)
        raise AddressRefused(errno.EACCES, "address refused by the guard")

    def _judge(self, text: str) -> Refusal | None:
        try:
            ip = ip_address(text)
        except ValueError:
            # A socket would look this up by itself, past the guard.
            return Refusal(text, "not a numeric address", "RFC 6943, section 3.1.1")
        return check_address(ip, self._allowed_networks, nat64_allowed=self._nat64_allowed)
