"""Operations in progress, counted for graceful shutdown."""

import asyncio


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
        if not self._count:
            self._idle.clear()
        self._count += 1

    def finish(self) -> None:
        self._count -= 1
        if not self._count:
            self._idle.set()

    async def wait_idle(self) -> None:
        await self._idle.wait()
