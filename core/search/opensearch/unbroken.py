"""Work that a cancellation does not break off."""

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, TypeVar

R = TypeVar("R")


async def to_its_end(work: Coroutine[Any, Any, R]) -> R:
    """Its answer. Whoever is cancelled meanwhile hears of it when the work has ended, whatever came of it.

    So `work` must limit its own time.
    """
    task = asyncio.create_task(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        while not task.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait([task])
        # Or it would be logged that nobody asked.
        task.exception()
        raise
