"""Run a real OpenSearch: `PYTHONPATH=tests python -m cluster.readside --ready-file FILE [--heap 2g]`.

It listens on loopback until SIGTERM or Ctrl-C and stores nothing permanently. FILE gets {"url", "pid"} as soon as it
responds. It needs a JDK 17, and Maven, which downloads it once.
"""

import argparse
import asyncio
import json
import signal
import sys
import tempfile
from pathlib import Path

import pytest

from harness.opensearch import HEAP, opensearch


async def _serve(ready_file: Path, heap: str) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    with tempfile.TemporaryDirectory(prefix="imageservice-opensearch-") as folder:
        async with opensearch(Path(folder), heap=heap) as server:
            await asyncio.to_thread(_write, ready_file, {"url": server.url, "pid": server.pid})
            await stop.wait()


def _write(ready_file: Path, content: dict[str, object]) -> None:
    """Write the file atomically, so that no reader sees a part of it."""
    partial = ready_file.with_name(f".{ready_file.name}.partial")
    partial.write_text(json.dumps(content) + "\n", encoding="utf-8")
    partial.replace(ready_file)


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m cluster.readside",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--ready-file", type=Path, required=True)
    parser.add_argument("--heap", default=HEAP, help="of the JVM")
    given = parser.parse_args()
    try:
        asyncio.run(_serve(given.ready_file, given.heap))
    except pytest.UsageError as missing:
        sys.stderr.write(f"{missing}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
