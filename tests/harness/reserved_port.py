"""Reserves a port of this machine for a process that starts later."""

import os
import socket
import weakref
from collections.abc import Iterator
from contextlib import contextmanager

from cli.local.embedded_aws import HOST


class ReservedPort:
    """A port that no other program gets while this object exists. A process that knows `number` can listen there.

    The kernel lets two sockets have one address if both set SO_REUSEADDR, as servers do, and the first does not listen
    (socket(7)). The kernel does not assign it as a free port. Connections are refused until a process listens.
    """

    def __init__(self) -> None:
        with socket.socket() as bound:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind((HOST, 0))
            self.number: int = bound.getsockname()[1]
            weakref.finalize(self, os.close, bound.detach())


@contextmanager
def closed_port() -> Iterator[int]:
    """Yield a port that refuses connections and that no other program gets meanwhile."""
    reserved = ReservedPort()
    yield reserved.number
