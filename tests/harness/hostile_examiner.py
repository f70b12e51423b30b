"""Orders to a decoder that an image has taken over. `examine` runs in a real decoder process of the pool.

The body is a JSON object with the order, so each test chooses what the decoder does.
"""

import errno
import json
import os
import signal
import socket
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from consumer.imaging.policy import ImagePolicy
from consumer.sandbox.decoder import examine_request
from consumer.sandbox.protocol import Answer, Request
from core.errors import CorruptImage
from harness.attacks import ATTACKS, Targets

SUCCEEDED = "succeeded"
CONNECTION = 3
STREAMS = (1, 2)


_leaked: list[bytearray] = []


@dataclass(frozen=True, slots=True)
class Address:
    """The part of a socket that attacks use."""

    family: int
    type: int
    name: Any

    def getsockname(self) -> Any:
        return self.name


def order(**members: Any) -> bytes:
    """Return a body that orders something."""
    return json.dumps({"order": members}).encode()


def leak(size: int) -> bytes:
    """Return a body that orders to keep memory, as a fragmented heap does."""
    return order(leak=size)


def answer_bytes(*pieces: bytes, then: str = "answer", stream: int = CONNECTION) -> bytes:
    """Return a body that orders to write bytes to a stream, and then to `answer`, `exit` or `sleep`."""
    return order(write=[piece.hex() for piece in pieces], stream=stream, then=then)


def attack(name: str, targets: Targets) -> bytes:
    """Return a body that orders an attack on the targets, which are outside the decoder."""
    sockets = {
        kind: (one.family, one.type, _text(one.getsockname()))
        for kind in ("tcp", "udp", "unix", "abstract")
        for one in [getattr(targets, kind)]
    }
    ids = {"parent": targets.parent, "sibling": targets.sibling, "folder": str(targets.folder)}
    return order(attack=name, sockets=sockets, **ids)


def examine(request: Request, policy: ImagePolicy) -> Answer:
    """Obey an order. Examine any other body."""
    if not request.body.startswith(b'{"order"'):
        return examine_request(request, policy)
    wanted = json.loads(request.body)["order"]
    if "leak" in wanted:
        _leaked.append(bytearray(wanted["leak"]))
        return CorruptImage("leaked")
    if "attack" in wanted:
        return CorruptImage(_outcome(wanted))
    for piece in wanted["write"]:
        _write_all(wanted["stream"], bytes.fromhex(piece))
    if wanted["then"] == "sleep":
        _sleep()
    if wanted["then"] == "exit":
        os._exit(0)
    return CorruptImage("the order was obeyed")


def _outcome(wanted: dict[str, Any]) -> str:
    sockets = {
        kind: Address(family, kind_of, _address(name))
        for kind, (family, kind_of, name) in wanted["sockets"].items()
    }
    parent = wanted["parent"] or os.getppid()
    targets = Targets(
        parent=parent,
        sibling=wanted["sibling"],
        folder=Path(wanted["folder"]),
        file=0,
        datagram=socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, 0, CONNECTION),
        **sockets,  # type: ignore[arg-type]  # only their addresses are used
    )
    try:
        ATTACKS[wanted["attack"]](targets)
    except OSError as stopped:
        return errno.errorcode[stopped.errno or 0]
    finally:
        targets.datagram.detach()
    return SUCCEEDED


def _write_all(stream: int, data: bytes) -> None:
    """Write all data, or as much as standard error accepts."""
    with suppress(BlockingIOError):
        while data:
            data = data[os.write(stream, data) :]


def _sleep() -> NoReturn:
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    while True:
        time.sleep(60)


def _text(name: Any) -> Any:
    return name.decode("latin-1") if isinstance(name, bytes) else name


def _address(name: Any) -> Any:
    if isinstance(name, list):
        return tuple(name)
    return name.encode("latin-1") if name.startswith("\0") else name
