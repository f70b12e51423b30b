"""Where pictures are decoded: off the event loop, admitted by weight.

The seam behind which threads can become sandboxed processes; only then is decode time truly bounded.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor

from PIL import AvifImagePlugin

from consumer.byte_budget import ByteBudget
from consumer.imaging import ImagePolicy, ImageProbe, InspectionResult, inspect, probe

SMALL_BYTES = 8 * 1024 * 1024
"""Lent to every picture before its weight is known. Most need less, and go to a thread only once."""


class Decoder:
    """`budget_bytes` bounds the memory of all pictures decoded at the same time; a larger one runs alone."""

    def __init__(self, policy: ImagePolicy, *, threads: int, budget_bytes: int) -> None:
        self._policy = policy
        # Its decoder would start a thread for each core, beside the pool's own.
        AvifImagePlugin.DEFAULT_MAX_THREADS = 1
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="decode")
        self._probes = ThreadPoolExecutor(1, thread_name_prefix="probe")
        self._budget = ByteBudget(budget_bytes)
        self._budget_bytes = budget_bytes
        self._small_bytes = min(SMALL_BYTES, budget_bytes)

    async def inspect(self, body: bytes) -> InspectionResult:
        """Check, read and clean one picture. Raises the permanent failures of consumer.imaging."""
        if self._budget.fits(self._small_bytes):
            return await self._decode(body, None)
        # What is no picture needs no memory, so it does not wait for any: it is told apart while it stands in line.
        try:
            async with asyncio.TaskGroup() as group:
                probing = group.create_task(self._probe(body))
                decoding = group.create_task(self._decode(body, probing))
        except BaseExceptionGroup as failures:
            raise failures.exceptions[0] from None
        return decoding.result()

    async def _probe(self, body: bytes) -> ImageProbe:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._probes, probe, body, self._policy)

    async def _decode(
        self, body: bytes, probing: asyncio.Task[ImageProbe] | None
    ) -> InspectionResult:
        loop = asyncio.get_running_loop()
        async with self._budget.reserve(self._small_bytes):
            probed = None if probing is None else await probing
            found = await loop.run_in_executor(self._pool, self._inspect_small, body, probed)
        if isinstance(found, InspectionResult):
            return found
        async with self._budget.reserve(min(found.decode_bytes, self._budget_bytes)):
            return await loop.run_in_executor(self._pool, inspect, body, self._policy, found)

    def _inspect_small(
        self, body: bytes, probed: ImageProbe | None
    ) -> InspectionResult | ImageProbe:
        """All of the work where it fits what is lent already; otherwise what the picture needs."""
        found = probed or probe(body, self._policy)
        if found.decode_bytes > self._small_bytes:
            return found
        return inspect(body, self._policy, found)

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._probes.shutdown(wait=False, cancel_futures=True)
