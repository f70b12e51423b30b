"""Decodes images in threads, outside the event loop, within a budget of memory.

Sandboxed processes could replace the threads behind this interface. Only they would limit the time of a decode.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor

from PIL import AvifImagePlugin

from consumer.byte_budget import ByteBudget
from consumer.imaging.inspection import ImageProbe, examine, probe
from consumer.imaging.policy import ImagePolicy
from consumer.imaging.result import InspectionResult, apply_examination

SMALL_BYTES = 8 * 1024 * 1024
"""Reserved for every image before its size in memory is known. Most need less, so one trip to a thread is enough."""


def limit_decoder_threads() -> None:
    """Make Pillow decode AVIF in the calling thread, for the whole process. Call once at start-up.

    Its decoder would start a thread for each core, beside the pool's own threads.
    """
    AvifImagePlugin.DEFAULT_MAX_THREADS = 1


class DecodePool:
    """`budget_bytes` limits the memory of all images decoded at the same time; a larger image is decoded alone."""

    def __init__(self, policy: ImagePolicy, *, threads: int, budget_bytes: int) -> None:
        self._policy = policy
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="decode")
        self._probes = ThreadPoolExecutor(1, thread_name_prefix="probe")
        self._budget = ByteBudget(budget_bytes)
        self._budget_bytes = budget_bytes
        self._small_bytes = min(SMALL_BYTES, budget_bytes)

    async def inspect(self, body: bytes) -> InspectionResult:
        """Inspect one image: check it, read its metadata and strip its location. Raises PermanentFailure."""
        if self._budget.fits(self._small_bytes):
            return await self._decode(body, None)
        # A body that is no image needs no memory, so the probe rejects it while it waits for its reservation.
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
            return await loop.run_in_executor(self._pool, self._inspect, body, found)

    def _inspect_small(
        self, body: bytes, probed: ImageProbe | None
    ) -> InspectionResult | ImageProbe:
        """Inspect the image if the small reservation suffices for it; otherwise return its probe."""
        found = probed or probe(body, self._policy)
        if found.decode_bytes > self._small_bytes:
            return found
        return self._inspect(body, found)

    def _inspect(self, body: bytes, probed: ImageProbe) -> InspectionResult:
        return apply_examination(body, examine(body, self._policy, probed))

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._probes.shutdown(wait=False, cancel_futures=True)
