"""An origin that costs little CPU and can hold its responses back.

    /<n>.jpg            image n of the folder, modulo their number
    POST /_admit?N      answer N more image requests; a gated origin answers none before
    GET  /_served       how many were answered

It listens on several loopback addresses, so that the limit per host of a client applies as in production.

    python -m loadtest.bench.images.origin --folder F --ready-file R [--gated] [--delay-ms N]
"""

import argparse
import asyncio
import json
import signal
import tempfile
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import cast

import aiohttp
import uvloop

from loadtest.bench.images.collection import Kind, collection
from loadtest.bench.system.process import ready_file, running

HOSTS = tuple(f"127.0.0.{number}" for number in range(1, 17))
_END = b"\r\n\r\n"


class Gate:
    """Answers the admitted number of requests, each after a delay, and holds the others until more are admitted."""

    def __init__(self, admitted: int | None, delay: float = 0) -> None:
        """`admitted` of None admits all. `delay` is in seconds."""
        self._left = admitted
        self._delay = delay
        self._held: deque[Callable[[], None]] = deque()
        self.served = 0

    def handle(self, answer: Callable[[], None]) -> None:
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
            self.handle(self._held.popleft())


class Connection(asyncio.Protocol):
    def __init__(self, images: list[bytes], gate: Gate) -> None:
        self._images = images
        self._gate = gate
        self._received = b""
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # The transport of uvloop is not a subclass of asyncio's.
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
                number = int(target[1:].partition(".")[0]) % len(self._images)
                body = self._images[number]
                self._gate.handle(partial(self._send, body, closing=closing))

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
        'ETag: "image"\r\nLast-Modified: Sun, 01 Mar 2026 12:00:00 GMT\r\n'
        "Date: Sun, 01 Mar 2026 12:00:00 GMT\r\nServer: bench\r\n\r\n"
    )
    return head.encode() + body


def load(folder: Path) -> list[bytes]:
    """Return complete HTTP responses, ordered by image number."""
    paths = sorted(folder.glob("*.jpg"), key=lambda path: int(path.stem))
    return [_response(path.read_bytes(), "image/jpeg") for path in paths]


async def serve(folder: Path, ready: Path, *, gated: bool, delay: float) -> None:
    """Serve until SIGTERM. Writes {"port"} into `ready` once it listens. `delay` is in seconds."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    images = await asyncio.to_thread(load, folder)
    gate = Gate(0 if gated else None, delay)
    first = await loop.create_server(lambda: Connection(images, gate), HOSTS[0], 0)
    port = first.sockets[0].getsockname()[1]
    others = await loop.create_server(
        lambda: Connection(images, gate), HOSTS[1:], port, backlog=1_024
    )
    async with first, others:
        partial_file = ready.with_suffix(".partial")
        partial_file.write_text(json.dumps({"port": port}))
        partial_file.replace(ready)
        await stop.wait()


@dataclass(frozen=True, slots=True)
class ImageOrigin:
    """A client of a running origin."""

    port: int

    def urls(self, count: int) -> list[str]:
        """Return a URL for each of `count` images, spread over all hosts."""
        return [
            f"http://{HOSTS[number % len(HOSTS)]}:{self.port}/{number}.jpg"
            for number in range(count)
        ]

    async def admit(self, count: int) -> None:
        """Let a gated origin answer `count` more requests."""
        await self._ask("POST", f"/_admit?{count}")

    async def served(self) -> int:
        return await self._ask("GET", "/_served")

    async def _ask(self, method: str, target: str) -> int:
        url = f"http://{HOSTS[0]}:{self.port}{target}"
        async with aiohttp.request(method, url) as response:
            served: int = (await response.json())["served"]
            return served


@asynccontextmanager
async def image_origin(kind: Kind, *, gated: bool, delay_ms: int = 0) -> AsyncIterator[ImageOrigin]:
    """Start an origin for the images of a kind, and create the images if necessary."""
    folder = await asyncio.to_thread(collection, kind)
    with tempfile.TemporaryDirectory() as temporary:
        ready = Path(temporary) / "ready.json"
        arguments = ["--folder", str(folder), "--ready-file", str(ready)]
        arguments += ["--delay-ms", str(delay_ms)]
        if gated:
            arguments.append("--gated")
        async with running("loadtest.bench.images.origin", *arguments) as process:
            yield ImageOrigin((await ready_file(process, ready))["port"])


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m loadtest.bench.images.origin")
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--ready-file", type=Path, required=True)
    parser.add_argument("--gated", action="store_true", help="answer only admitted requests")
    parser.add_argument("--delay-ms", type=int, default=0, help="before each image")
    given = parser.parse_args()
    uvloop.run(
        serve(given.folder, given.ready_file, gated=given.gated, delay=given.delay_ms / 1000)
    )


if __name__ == "__main__":
    main()
