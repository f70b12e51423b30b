"""Calls of SQLite from a coroutine: in a few threads, each for a limited time."""

import asyncio
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from core.errors import SearchUnavailable
from core.search.metrics import SEARCH_ENGINE_CALL_SECONDS, SEARCH_ENGINE_CALLS
from core.search.sqlite.errors import unavailable
from core.search.sqlite.file import Identity, IndexFile

MAX_WAITING = 200
"""Calls that wait for a thread; what comes on top is refused."""
_CHECK_EVERY = 10_000
"""Steps of SQLite's machine between two looks at the clock, which is well below a millisecond."""

R = TypeVar("R")


class _Time:
    """How long a call may go on. Read by its thread, and ended early by who no longer waits for it."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds
        self.given_up = False

    def over(self) -> bool:
        return self.given_up or time.monotonic() > self._end


class Calls:
    """Connections to a file, one for each call that is under way. They are opened when first needed."""

    def __init__(self, file: IndexFile, *, threads: int, seconds: float) -> None:
        """A call may last `seconds`."""
        self._file = file
        self._seconds = seconds
        self._threads = threads
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="search")
        self._idle: list[tuple[Identity | None, sqlite3.Connection]] = []
        self._under_way = 0

    async def run(self, operation: str, work: Callable[[sqlite3.Connection], R]) -> R:
        """Raises SearchUnavailable."""
        started = time.perf_counter()
        outcome = "cancelled"
        try:
            answer = await self._run(work)
        except SearchUnavailable:
            outcome = "unavailable"
            raise
        else:
            outcome = "ok"
            return answer
        finally:
            SEARCH_ENGINE_CALLS.labels(operation, outcome).inc()
            SEARCH_ENGINE_CALL_SECONDS.labels(operation).observe(time.perf_counter() - started)

    async def _run(self, work: Callable[[sqlite3.Connection], R]) -> R:
        if self._under_way >= self._threads + MAX_WAITING:
            raise SearchUnavailable(f"{self._under_way} calls wait for {self._file.path} already")
        left = _Time(self._seconds)
        self._under_way += 1
        try:
            async with asyncio.timeout(self._seconds):
                return await asyncio.get_running_loop().run_in_executor(
                    self._pool, self._work, work, left
                )
        except TimeoutError:
            raise SearchUnavailable(
                f"{self._file.path} did not answer within {self._seconds:g} s"
            ) from None
        finally:
            self._under_way -= 1
            left.given_up = True

    async def close(self) -> None:
        """What is under way comes to its end first."""
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        self._pool.shutdown(cancel_futures=True)
        while self._idle:
            self._idle.pop()[1].close()

    def _work(self, work: Callable[[sqlite3.Connection], R], left: _Time) -> R:
        try:
            identity, connection = self._connection()
            connection.set_progress_handler(left.over, _CHECK_EVERY)
            try:
                answer = work(connection)
            except BaseException:
                connection.close()
                raise
        except sqlite3.Error as error:
            raise unavailable(self._file.path, error) from error
        connection.set_progress_handler(None, 0)
        self._idle.append((identity, connection))
        return answer

    def _connection(self) -> tuple[Identity | None, sqlite3.Connection]:
        """One that leads to the file that is there now: somebody may have deleted it to begin anew."""
        present = self._file.identity()
        while self._idle:
            identity, connection = self._idle.pop()
            if identity == present:
                return identity, connection
            connection.close()
        connection = self._file.connect(self._seconds)
        return self._file.identity(), connection
