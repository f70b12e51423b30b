"""The end of tasks that nobody waits for any more."""

import asyncio
from collections.abc import Sequence


async def cancelled(tasks: Sequence[asyncio.Task[None]]) -> None:
    """Cancel, and wait until they have ended."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
