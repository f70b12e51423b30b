"""The server that the real one is compared with."""

import json
import subprocess
import sys
from pathlib import Path

from harness.reserved_port import ReservedPort

ROOT = Path(__file__).parents[4]
SERVE_AND_TELL = """
import asyncio, gc, json, os, signal, sys
import grpc
from core.runtime.gc_tuning import freeze_gc
from loadtest.bench.contestants import bare_server

async def main(address):
    serving = asyncio.ensure_future(bare_server.serve("empty", address))
    async with grpc.aio.insecure_channel(address) as channel:
        await channel.channel_ready()
    found = [gc.get_threshold(), gc.get_freeze_count() > 0]
    freeze_gc()
    print(json.dumps([found, [gc.get_threshold(), gc.get_freeze_count() > 0]]))
    os.kill(os.getpid(), signal.SIGTERM)
    await serving

asyncio.run(main(sys.argv[1]))
"""


def test_it_looks_for_garbage_as_seldom_as_the_real_one() -> None:
    """Else the comparison would count that as a merit of ours."""
    port = ReservedPort()
    command = [sys.executable, "-c", SERVE_AND_TELL, f"127.0.0.1:{port.number}"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    as_served, settled = json.loads(ran.stdout)
    assert as_served == settled
