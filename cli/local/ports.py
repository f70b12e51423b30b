"""TCP ports on this machine."""

import socket
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from cli.errors import UsageError


@dataclass(frozen=True, slots=True)
class PortRequest:
    """A port to listen on; 0 is any free port."""

    host: str
    port: int
    purpose: str
    """The purpose for error messages: "the gRPC server"."""


def choose(wanted: Sequence[PortRequest]) -> list[int]:
    """Return a port for each request, all different. Raises UsageError if a port cannot be used.

    Call it before anything starts: a gRPC server shares its port (SO_REUSEPORT) and does not notice another server
    on it.
    """
    with ExitStack() as held:
        # All sockets stay open until the last port is chosen; otherwise the kernel might return the same port twice.
        return [held.enter_context(_listening(one)).getsockname()[1] for one in wanted]


def _listening(wanted: PortRequest) -> socket.socket:
    family = socket.AF_INET6 if ":" in wanted.host else socket.AF_INET
    try:
        return socket.create_server((wanted.host, wanted.port), family=family)
    except (OSError, OverflowError) as error:
        reason = (getattr(error, "strerror", None) or str(error)).partition(" (")[0]
        where = f"{wanted.host}:{wanted.port}"
        raise UsageError(f"cannot use {where} for {wanted.purpose}: {reason}") from None
