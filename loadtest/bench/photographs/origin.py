"""An origin that costs little beside what fetches from it, and that can hold its answers back.

    /<n>.jpg            photograph n of the folder, modulo how many there are
    POST /_admit?N      answer N more requests for photographs; before the first of these, all are answered
    GET  /_served       how many were answered

It listens on several addresses of loopback, so that a client's limit for one host is as it is in production.

    python -m loadtest.bench.photographs.origin --folder F --ready-file R [--gated] [--delay-ms N]
"""

import argparse
import asyncio
import json
import signal
from collections import deque
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import cast

import uvloop

HOSTS = tuple(f"127.0.0.{number}" for number in range(1, 17))
_END = b"\r\n\r\n"


class Gate:
    """Lets a number of answers through, each after a delay, and keeps the others until more are admitted."""

    def __init__(self, admitted: int | None, delay: float = 0) -> None:
        """None admits all. `delay` is in seconds."""
        self._left = admitted
        self._delay = delay
        self._held: deque[Callable[[], None]] = deque()
        self.served = 0

    def pass_through(self, answer: Callable[[], None]) -> None:
        if self._left == 0:
            self._held.append(answer)
            return
        if self._left is not None:
            self._left -= 1
        self.served += 1
        if self._delay:
            asyncio.get_running_loop().call_later(self._delay, answer)
        else:
            answer()

    def admit(self, count: int) -> None:
        self._left = (self._left or 0) + count
        while self._held and self._left:
            self.pass_through(self._held.popleft())


class Connection(asyncio.Protocol):
    def __init__(self, photographs: list[bytes], gate: Gate) -> None:
        self._photographs = photographs
        self._gate = gate
        self._received = b""
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's is no subclass of asyncio's.
        self._transport = cast(asyncio.WriteTransport, transport)

    def data_received(self, data: bytes) -> None:
        self._received += data
        while _END in self._received:
            head, _, self._received = self._received.partition(_END)
            target = head.split(b" ", 2)[1].decode()
            closing = b"connection: close" in head.lower()
            if target.startswith("/_"):
                self._send(_response(self._control(target), "application/json"), closing=closing)
            else:
                number = int(target[1:].partition(".")[0]) % len(self._photographs)
                body = self._photographs[number]
                self._gate.pass_through(partial(self._send, body, closing=closing))

    def _control(self, target: str) -> bytes:
        name, _, argument = target.partition("?")
        if name == "/_admit":
            self._gate.admit(int(argument))
        return json.dumps({"served": self._gate.served}).encode()

    def _send(self, response: bytes, *, closing: bool) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        self._transport.write(response)
        if closing:
            self._transport.close()


def _response(body: bytes, media_type: str) -> bytes:
    head = (
        "HTTP/1.1 200 OK\r\n"
        f"Content-Type: {media_type}\r\nContent-Length: {len(body)}\r\n"
        'ETag: "photograph"\r\nLast-Modified: Sun, 01 Mar 2026 12:00:00 GMT\r\n'
        "Date: Sun, 01 Mar 2026 12:00:00 GMT\r\nServer: bench\r\n\r\n"
    )
    return head.encode() + body


def load(folder: Path) -> list[bytes]:
    """Whole responses, in the order of their numbers."""
    paths = sorted(folder.glob("*.jpg"), key=lambda path: int(path.stem))
    return [_response(path.read_bytes(), "image/jpeg") for path in paths]


async def serve(folder: Path, ready_file: Path, *, gated: bool, delay: float) -> None:
    """Until SIGTERM. `ready_file` gets {"port"}; `delay` is in seconds."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    photographs = await asyncio.to_thread(load, folder)
    gate = Gate(0 if gated else None, delay)
    first = await loop.create_server(lambda: Connection(photographs, gate), HOSTS[0], 0)
    port = first.sockets[0].getsockname()[1]
    others = await loop.create_server(
        lambda: Connection(photographs, gate), HOSTS[1:], port, backlog=1_024
    )
    async with first, others:
        partial_file = ready_file.with_suffix(".partial")
        partial_file.write_text(json.dumps({"port": port}))
        partial_file.replace(ready_file)
        await stop.wait()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m loadtest.bench.photographs.origin")
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--ready-file", type=Path, required=True)
    parser.add_argument("--gated", action="store_true", help="answer only what is admitted")
    parser.add_argument("--delay-ms", type=int, default=0, help="before each photograph")
    given = parser.parse_args()
    uvloop.run(
        serve(given.folder, given.ready_file, gated=given.gated, delay=given.delay_ms / 1000)
    )


if __name__ == "__main__":
    main()
