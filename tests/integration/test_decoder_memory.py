"""The memory of the fork server and of the decoders between images, which the limit of the pod has to allow for."""

import asyncio
import sys
from pathlib import Path

import psutil
import pytest

from consumer.imaging.policy import ImagePolicy
from consumer.sandbox.decode_pool import open_decode_pool
from harness.consumer_memory import DECODER_BYTES, FORK_SERVER_BYTES
from harness.images import IMAGES

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
DECODERS = 3
BODIES = [path.read_bytes() for path in sorted(IMAGES.glob("*.*")) if path.suffix != ".md"]


def proportional_bytes(pid: int) -> int:
    """Return the memory of a process, with its share of the pages that others have too."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("Pss:")).split()[1]) << 10


def children() -> set[int]:
    return {child.pid for child in psutil.Process().children(recursive=True)}


async def test_the_sandbox_takes_the_memory_that_is_planned_for_it() -> None:
    """After some hundred images, the fork server and its decoders take no more than the figures."""
    before = await asyncio.to_thread(children)
    pool = open_decode_pool(ImagePolicy(), decoders=DECODERS, budget_bytes=1 << 29, cpu_limit_s=60)
    async with pool as decoders:
        for body in BODIES * 8:
            await asyncio.gather(*(decoders.inspect(body) for _ in range(DECODERS)))
        sandbox = await asyncio.to_thread(children) - before
        assert len(sandbox) == 1 + DECODERS
        sizes = [await asyncio.to_thread(proportional_bytes, pid) for pid in sandbox]
        assert sum(sizes) <= FORK_SERVER_BYTES + DECODERS * DECODER_BYTES
