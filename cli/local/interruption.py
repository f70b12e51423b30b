"""Work that ends early because something else happened first."""

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, TypeVar

T = TypeVar("T")


class Interrupted(Exception):
    """Something else came first."""


async def unless(work: Coroutine[Any, Any, T], *interruptions: asyncio.Task[Any]) -> T:
    """The result of `work`; when an interruption is done first, `work` is cancelled and Interrupted raised."""
    running = asyncio.create_task(work)
    try:
        await asyncio.wait({running, *interruptions}, return_when=asyncio.FIRST_COMPLETED)
        # An interruption wins a tie: work often fails because of it.
        if any(interruption.done() for interruption in interruptions):
            raise Interrupted
        return await running
    finally:
        if not running.done():
            running.cancel()
        with suppress(asyncio.CancelledError, Exception):
            await running
