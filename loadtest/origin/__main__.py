"""The origin as a process.

python -m loadtest.origin --pictures tests/images --port 0 --ready-file origin.json
"""

import argparse
import asyncio
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
from loadtest.origin.hosts import counted_up

SHUTDOWN_SECONDS = 2.0


async def serve(pictures: Path, hosts: Sequence[str], port: int, ready_file: Path | None) -> None:
    """Serve until SIGINT or SIGTERM. `ready_file` gets {"url", "urls", "pid"} once the port is open.

    The port is the same on all hosts; the first of them is the one in "url".
    """
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    runner = web.AppRunner(
        create_app(pictures),
        access_log=None,
        handler_cancellation=True,
        shutdown_timeout=SHUTDOWN_SECONDS,
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
        sys.stdout.write(f"serving {pictures} at {urls[0]}\n")
        sys.stdout.flush()
        await stop.wait()
    finally:
        await runner.cleanup()


def _write_atomically(path: Path, content: Mapping[str, object]) -> None:
    partial = path.with_name(f"{path.name}.{os.getpid()}")
    partial.write_text(json.dumps(content) + "\n")
    partial.replace(path)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m loadtest.origin", description="Serve pictures."
    )
    parser.add_argument("--pictures", type=Path, default=Path("tests/images"), help="folder")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument(
        "--hosts", type=int, default=1, help="addresses to serve on, counted up from --host"
    )
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--ready-file", type=Path, help="gets the address as JSON once it serves")
    given = parser.parse_args()
    hosts = counted_up(given.host, given.hosts)
    uvloop.run(serve(given.pictures, hosts, given.port, given.ready_file))


if __name__ == "__main__":
    main()
