"""Where pictures are decoded: off the event loop, admitted by weight.

The seam behind which threads can become sandboxed processes; only then is decode time truly bounded.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor

from PIL import AvifImagePlugin

from consumer.byte_budget import ByteBudget
from consumer.picture import Inspected, PicturePolicy, inspect, probe


class Decoder:
    """`budget_bytes` bounds the memory of all pictures decoded at the same time; a larger one runs alone."""

    def __init__(self, policy: PicturePolicy, *, threads: int, budget_bytes: int) -> None:
        self._policy = policy
        # Its decoder would start a thread for each core, beside the pool's own.
        AvifImagePlugin.DEFAULT_MAX_THREADS = 1
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="decode")
        self._budget = ByteBudget(budget_bytes)
        self._budget_bytes = budget_bytes

    async def inspect(self, body: bytes) -> Inspected:
        """Check, read and clean one picture. Raises the permanent failures of consumer.picture."""
        loop = asyncio.get_running_loop()
        found = await loop.run_in_executor(self._pool, probe, body, self._policy)
        async with self._budget.reserve(min(found.decode_bytes, self._budget_bytes)):
            return await loop.run_in_executor(self._pool, inspect, body, self._policy)

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)
