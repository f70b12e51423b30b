"""How a long command meets what does not answer for a while: by trying again, where it is."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog

from core.errors import DependencyUnavailable

R = TypeVar("R")
_log = structlog.get_logger()

TRIES = 8
_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 30.0
"""So the pauses are 31 to 62 s in all; an outage that lasts for minutes ends the command."""


async def patiently(attempt: Callable[[], Awaitable[R]]) -> R:
    """Up to TRIES attempts. Raises the last one's DependencyUnavailable, and whatever else at once."""
    pause = _FIRST_PAUSE_S
    for _ in range(TRIES - 1):
        try:
            return await attempt()
        except DependencyUnavailable as error:
            _log.warning("trying again", error=str(error))
            # Jitter, or all segments would come back at the same moment.
            await asyncio.sleep(pause * random.uniform(0.5, 1))  # noqa: S311
            pause = min(_LONGEST_PAUSE_S, 2 * pause)
    return await attempt()
