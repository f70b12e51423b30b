"""Waiting for another process: poll a condition, with a timeout that only a hang reaches."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable

HANG_TIMEOUT_S = 90.0
"""A busy machine may be thirty times slower than a quiet one. pytest's own limit is longer."""
POLL_S = 0.05


async def wait_for(
    condition: Callable[[], bool | Awaitable[bool]],
    description: str | Callable[[], str] = "condition",
    *,
    within_s: float = HANG_TIMEOUT_S,
) -> None:
    """Poll until `condition` returns true. Raises AssertionError with `description` after `within_s` seconds."""
    try:
        async with asyncio.timeout(within_s):
            while True:
                met = condition()
                if await met if inspect.isawaitable(met) else met:
                    return
                await asyncio.sleep(POLL_S)
    except TimeoutError:
        text = description() if callable(description) else description
        raise AssertionError(f"not after {within_s:g} s: {text}") from None
