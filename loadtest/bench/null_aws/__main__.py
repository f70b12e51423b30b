"""Run the null AWS as a process.

python -m loadtest.bench.null_aws --ready-file null.json [--delay 0.005]
"""

import argparse
import asyncio
import json
import os
import signal
from pathlib import Path

import uvloop

from loadtest.bench.null_aws.service import DELAY_S, NullAws

HOST = "127.0.0.1"
_BACKLOG = 1_024


async def serve(ready_file: Path, delay: float) -> None:
    """Serve until SIGINT or SIGTERM. Writes {"url"} into `ready_file` once it listens."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    server = await loop.create_server(NullAws(delay).connection, HOST, 0, backlog=_BACKLOG)
    url = f"http://{HOST}:{server.sockets[0].getsockname()[1]}"
    await asyncio.to_thread(_write_atomically, ready_file, {"url": url})
    await stop.wait()
    server.close()


def _write_atomically(path: Path, content: dict[str, str]) -> None:
    partial = path.with_name(f"{path.name}.{os.getpid()}")
    partial.write_text(json.dumps(content) + "\n")
    partial.replace(path)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m loadtest.bench.null_aws", description="A stub of AWS."
    )
    parser.add_argument("--ready-file", type=Path, required=True, help="receives the URL as JSON")
    parser.add_argument("--delay", type=float, default=DELAY_S, help="seconds before each response")
    given = parser.parse_args()
    uvloop.run(serve(given.ready_file, given.delay))


if __name__ == "__main__":
    main()
