"""TCP ports on this machine."""

import ipaddress
import socket
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from cli.errors import UsageError


@dataclass(frozen=True, slots=True)
class PortRequest:
    """A port to listen on; 0 is any that is free."""

    host: str
    port: int
    purpose: str
    """For people, should it be taken: "the gRPC server"."""


def choose(wanted: Sequence[PortRequest]) -> list[int]:
    """A port for each, all different on one host. Raises UsageError where one cannot be listened on.

    Ask before anything is started: a server that shares its port by SO_REUSEPORT, as gRPC's does, does not notice
    another one there.
    """
    with ExitStack() as held:
        # All are held until the last is chosen, or the kernel might name the same free port twice.
        return [held.enter_context(_listening(one)).getsockname()[1] for one in wanted]


def _listening(wanted: PortRequest) -> socket.socket:
    family = socket.AF_INET6 if _is_ipv6(wanted.host) else socket.AF_INET
    try:
        return socket.create_server((wanted.host, wanted.port), family=family)
    except (OSError, OverflowError) as error:
        reason = (getattr(error, "strerror", None) or str(error)).partition(" (")[0]
        where = f"{wanted.host}:{wanted.port}"
        raise UsageError(f"cannot use {where} for {wanted.purpose}: {reason}") from None


def _is_ipv6(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).version == 6  # noqa: PLR2004  the protocol's name
    except ValueError:
        return False
