"""The memory of the fork server and of the decoders between images, which the limit of the pod has to allow for."""

import asyncio
import sys
from pathlib import Path

import psutil
import pytest

from consumer.imaging.policy import ImagePolicy
from consumer.sandbox.decode_pool import open_decode_pool
from consumer.sandbox.restrictions.limits import SLACK_BYTES
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


async def sandbox_bytes(before: set[int]) -> int:
    """Return the memory of the fork server and its decoders. `before` are the children that are neither."""
    sandbox = await asyncio.to_thread(children) - before
    assert len(sandbox) == 1 + DECODERS
    return sum([await asyncio.to_thread(proportional_bytes, pid) for pid in sandbox])


async def test_the_sandbox_takes_the_memory_that_is_planned_for_it() -> None:
    """At the start, and after some hundred images: what they leave in a decoder is within its slack."""
    before = await asyncio.to_thread(children)
    pool = open_decode_pool(ImagePolicy(), decoders=DECODERS, budget_bytes=1 << 29, cpu_limit_s=60)
    async with pool as decoders:
        planned = FORK_SERVER_BYTES + DECODERS * DECODER_BYTES
        assert await sandbox_bytes(before) <= planned
        for body in BODIES * 8:
            await asyncio.gather(*(decoders.inspect(body) for _ in range(DECODERS)))
        assert await sandbox_bytes(before) <= planned + DECODERS * SLACK_BYTES
