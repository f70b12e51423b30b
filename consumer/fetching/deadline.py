"""A time limit whose clock can be stopped."""

import asyncio
import contextlib
from collections.abc import Iterator
from types import TracebackType
from typing import Self


class Deadline:
    """`asyncio.timeout` that does not count the time spent in `paused` blocks.

    Waiting for our own limits is not the origin's fault and must not use up its time.
    """

    def __init__(self, seconds: float) -> None:
        self._ends_at = asyncio.get_running_loop().time() + seconds
        self._timeout = asyncio.timeout_at(self._ends_at)

    async def __aenter__(self) -> Self:
        await self._timeout.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Raise TimeoutError when the time is up."""
        await self._timeout.__aexit__(kind, error, traceback)

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Stop the clock in this block."""
        loop = asyncio.get_running_loop()
        began_at = loop.time()
        self._timeout.reschedule(None)
        try:
            yield
        finally:
            self._ends_at += loop.time() - began_at
            self._timeout.reschedule(self._ends_at)
