"""Runs SQLite calls in threads, each with a timeout."""

import asyncio
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from core.errors import SearchUnavailable
from core.search.metrics import SEARCH_ENGINE_CALL_SECONDS, SEARCH_ENGINE_CALLS
from core.search.sqlite.errors import to_search_error
from core.search.sqlite.file import Identity, IndexFile

MAX_PENDING = 200
"""Calls that wait for a thread; further calls fail."""
_STEPS_PER_CHECK = 10_000
"""SQLite instructions between two checks of the deadline: well below a millisecond."""

R = TypeVar("R")


class _Deadline:
    """The deadline of a call. Its thread checks it; the caller cancels the call if it stops waiting."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds
        self.cancelled = False

    def expired(self) -> bool:
        return self.cancelled or time.monotonic() > self._end


class SqliteThreadPool:
    """Threads, and one connection to a file for each call in flight, opened at first use."""

    def __init__(self, file: IndexFile, *, threads: int, seconds: float) -> None:
        """`seconds` is the timeout of a call."""
        self._file = file
        self._seconds = seconds
        self._threads = threads
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="search")
        self._idle: list[tuple[Identity | None, sqlite3.Connection]] = []
        self._in_flight = 0

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
        if self._in_flight >= self._threads + MAX_PENDING:
            raise SearchUnavailable(f"{self._in_flight} calls already wait for {self._file.path}")
        deadline = _Deadline(self._seconds)
        self._in_flight += 1
        try:
            async with asyncio.timeout(self._seconds):
                return await asyncio.get_running_loop().run_in_executor(
                    self._pool, self._work, work, deadline
                )
        except TimeoutError:
            raise SearchUnavailable(
                f"{self._file.path} did not answer within {self._seconds:g} s"
            ) from None
        finally:
            self._in_flight -= 1
            deadline.cancelled = True

    async def close(self) -> None:
        """Wait for calls in flight, then close the connections."""
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        self._pool.shutdown(cancel_futures=True)
        while self._idle:
            self._idle.pop()[1].close()

    def _work(self, work: Callable[[sqlite3.Connection], R], deadline: _Deadline) -> R:
        try:
            identity, connection = self._connection()
            connection.set_progress_handler(deadline.expired, _STEPS_PER_CHECK)
            try:
                answer = work(connection)
            except BaseException:
                connection.close()
                raise
        except sqlite3.Error as error:
            raise to_search_error(self._file.path, error) from error
        connection.set_progress_handler(None, 0)
        self._idle.append((identity, connection))
        return answer

    def _connection(self) -> tuple[Identity | None, sqlite3.Connection]:
        """Return a connection to the file that exists now: an operator may have deleted it for a rebuild."""
        present = self._file.identity()
        while self._idle:
            identity, connection = self._idle.pop()
            if identity == present:
                return identity, connection
            connection.close()
        connection = self._file.connect(self._seconds)
        return self._file.identity(), connection
