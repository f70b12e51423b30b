"""Operations in progress: counted for graceful shutdown, and bounded by customer."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from core.errors import Overloaded


class InFlight:
    """Call `start` and `finish` once for each operation."""

    def __init__(self) -> None:
        self._count = 0
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def count(self) -> int:
        return self._count

    def start(self) -> None:
        self._count += 1
        self._idle.clear()

    def finish(self) -> None:
        self._count -= 1
        if not self._count:
            self._idle.set()

    async def wait_idle(self) -> None:
        await self._idle.wait()


class CallLimiter:
    """Bounds the calls of one kind that are in progress: in total, and for each customer."""

    def __init__(self, kind: str, max_calls: int, max_per_customer: int | None = None) -> None:
        self._kind = kind
        self._max_calls = max_calls
        self._max_per_customer = max_per_customer or max_calls
        self._in_progress: Counter[str] = Counter()

    @contextmanager
    def slot(self, customer_id: str) -> Iterator[None]:
        """Hold a slot for the duration of a call. Raises Overloaded if none is free."""
        if (total := self._in_progress.total()) >= self._max_calls:
            raise Overloaded(f"This server already runs {total} {self._kind} calls.")
        if (own := self._in_progress[customer_id]) >= self._max_per_customer:
            raise Overloaded(f"This server already runs {own} {self._kind} calls of this customer.")
        self._in_progress[customer_id] += 1
        try:
            yield
        finally:
            self._in_progress[customer_id] -= 1
            if not self._in_progress[customer_id]:
                del self._in_progress[customer_id]
