"""A port of this machine for a process that is still to be started."""

import os
import socket
import weakref
from collections.abc import Iterator
from contextlib import contextmanager

from cli.local.embedded_aws import HOST


class ReservedPort:
    """Nobody else is given it for as long as this object is kept; whoever is told its `number` may listen there.

    The kernel lets two sockets have one address if both set SO_REUSEADDR, as servers do, and the first does not listen
    (socket(7)). Whoever asks for any port does not get this one. Connections are refused until somebody listens.
    """

    def __init__(self) -> None:
        with socket.socket() as bound:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind((HOST, 0))
            self.number: int = bound.getsockname()[1]
            weakref.finalize(self, os.close, bound.detach())


@contextmanager
def closed_port() -> Iterator[int]:
    """Yield a port that refuses connections and that nobody else is given meanwhile."""
    reserved = ReservedPort()
    yield reserved.number
