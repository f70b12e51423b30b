"""Run the origin as a process.

python -m loadtest.origin --images tests/images --port 0 --ready-file origin.json
"""

import argparse
import asyncio
import ipaddress
import json
import os
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import uvloop
from aiohttp import web

from loadtest.origin.app import create_app

SHUTDOWN_TIMEOUT_S = 2.0


async def serve(images: Path, hosts: Sequence[str], port: int, ready_file: Path | None) -> None:
    """Serve until SIGINT or SIGTERM. Writes {"url", "urls", "pid"} into `ready_file` once it listens.

    All hosts have the same port; "url" is that of the first host.
    """
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    runner = web.AppRunner(
        create_app(images),
        access_log=None,
        handler_cancellation=True,
        shutdown_timeout=SHUTDOWN_TIMEOUT_S,
    )
    await runner.setup()
    try:
        urls = []
        for host in hosts:
            opened = socket.create_server((host, port), backlog=1_024)
            port = opened.getsockname()[1]
            await web.SockSite(runner, opened).start()
            urls.append(f"http://{host}:{port}")
        if ready_file is not None:
            ready = {"url": urls[0], "urls": urls, "pid": os.getpid()}
            await asyncio.to_thread(_write_atomically, ready_file, ready)
        sys.stdout.write(f"serving {images} at {urls[0]}\n")
        sys.stdout.flush()
        await stop.wait()
    finally:
        await runner.cleanup()


def consecutive_hosts(first: str, count: int) -> tuple[str, ...]:
    """Return `count` addresses from `first` on, which must be a literal if `count` exceeds one.

    Consumers limit the load per host, so a load test needs several. Linux answers on all of 127.0.0.0/8.
    """
    if count == 1:
        return (first,)
    address = ipaddress.ip_address(first)
    return tuple(str(address + number) for number in range(count))


def _write_atomically(path: Path, content: Mapping[str, object]) -> None:
    partial = path.with_name(f"{path.name}.{os.getpid()}")
    partial.write_text(json.dumps(content) + "\n")
    partial.replace(path)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m loadtest.origin", description="Serve images.")
    parser.add_argument(
        "--images", "--pictures", type=Path, default=Path("tests/images"), help="folder"
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument(
        "--hosts", type=int, default=1, help="number of consecutive addresses from --host on"
    )
    parser.add_argument("--port", type=int, default=0, help="0 selects a free port")
    parser.add_argument("--ready-file", type=Path, help="receives the URLs as JSON")
    given = parser.parse_args()
    hosts = consecutive_hosts(given.host, given.hosts)
    uvloop.run(serve(given.images, hosts, given.port, given.ready_file))


if __name__ == "__main__":
    main()
