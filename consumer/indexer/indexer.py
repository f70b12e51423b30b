"""The indexer's loop: receives events, reads what they are about, writes it to the engine, deletes them.

An event is deleted only after its image is in the index, or nowhere; so to be killed anywhere loses nothing, and what
is done twice is written twice, to the same effect. While the engine or a table does not do its part, nothing is
received: events wait in the queue, and what failed once is tried without receiving it, for each receive counts.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial

import structlog

from consumer.indexer.buffer import Buffer
from consumer.indexer.event_queue import Event, EventQueue
from consumer.indexer.lookup import LookupResult, look_up
from consumer.indexer.metrics import BATCH_SIZE, DOCUMENTS, GONE, LAG_SECONDS, WAITING
from consumer.indexer.probe import Probe
from core.aws.batch import MAX_BATCH
from core.dynamodb.tables import Tables
from core.errors import DependencyUnavailable, MalformedRow, Overloaded, SearchUnavailable
from core.resilience.backoff import Backoff
from core.runtime.clock import now_ms
from core.search.document import SearchDocument
from core.search.engine import SearchWriter, WriteResult, WriteStatus

_log = structlog.get_logger()

_TAKEN = frozenset({WriteStatus.INDEXED, WriteStatus.STALE})
_LEFT = frozenset({WriteStatus.REJECTED, WriteStatus.UNAVAILABLE})
"""Events whose image has no place in the index yet: they come back until the redrive policy moves them."""
_WIDEST = 8
"""Receives at the same time, at most."""
_RECEIVE_MARGIN_S = 2.0
_BACKOFF = Backoff(0.5, 30.0)


class Indexer:
    """`run` once; `stop` ends it. `receive_wait` and `drain_grace` are in seconds."""

    def __init__(
        self,
        queue: EventQueue,
        tables: Tables,
        engine: SearchWriter,
        *,
        receive_wait: int,
        drain_grace: float,
    ) -> None:
        self._queue = queue
        self._tables = tables
        self._engine = engine
        self._receive_wait = receive_wait
        self._drain_grace = drain_grace
        self._probe = Probe(tables, engine)
        self._buffer = Buffer()
        self._none_under_way = asyncio.Event()
        """Whether no receive is."""
        self._none_under_way.set()
        self._stopping = asyncio.Event()
        self._failures = 0

    def stop(self) -> None:
        """Receive no more; `run` returns once the batch under way is done."""
        self._stopping.set()
        self._buffer.stop()

    async def run(self) -> None:
        receiving = asyncio.create_task(self._receive())
        working = asyncio.create_task(self._work())
        both = {receiving, working}
        try:
            # Either ends only by `stop`, or by a fault of ours, which ends the other as well.
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            self.stop()
            patience = max(self._drain_grace, self._receive_wait + _RECEIVE_MARGIN_S)
            await asyncio.wait(both, timeout=patience)
        finally:
            for task in both:
                task.cancel()
            await asyncio.wait(both)
        await self._queue.release(self._buffer.close())
        for task in both:
            if not task.cancelled():
                task.result()

    async def _receive(self) -> None:
        failures, width = 0, 1
        while room := await self._buffer.room():
            calls = max(1, min(width, room // MAX_BATCH))
            # Only a single call may wait: what the others brought would wait with it.
            wait = self._receive_wait if calls == 1 else 0
            self._none_under_way.clear()
            try:
                answers = await asyncio.gather(
                    *(self._queue.receive(room, wait=wait) for _ in range(calls)),
                    return_exceptions=True,
                )
            finally:
                self._none_under_way.set()
            events, failure = _sorted_out(answers)
            await self._queue.release(self._buffer.put(events))
            if failure is not None:
                _log.warning("the queue does not answer", error=str(failure))
                failures += 1
                await self._pause(_BACKOFF.delay(failures))
                continue
            failures = 0
            full = len(events) >= calls * MAX_BATCH
            width = min(_WIDEST, width * 2) if full else 1

    async def _work(self) -> None:
        await self._until_well(self._engine.prepare)
        self._buffer.open()
        while events := await self._buffer.take():
            try:
                await self._index(events)
            except (DependencyUnavailable, Overloaded) as error:
                _log.warning("waiting for what the index needs", error=str(error))
                WAITING.set(1)
                await self._give_back([*events, *self._buffer.close()])
                await self._pause_after_failure()
                # An index that is gone, as after a lost disk, is made again by it.
                await self._until_well(
                    partial(self._probe.ask, [event.request_id for event in events])
                )
                self._buffer.open()
            else:
                self._failures = 0
            finally:
                self._buffer.done()

    async def _give_back(self, events: Sequence[Event]) -> None:
        """So that each is received once in an outage: a receive under way would take them again at once."""
        await self._none_under_way.wait()
        await self._queue.release(events)

    async def _until_well(self, asked: Callable[[], Awaitable[None]]) -> None:
        """Retry until it succeeds. Nothing is received meanwhile.

        Without tenacity: `stop` ends the loop in the middle of a delay, without a further attempt.
        """
        while not self._stopping.is_set():
            try:
                await asked()
            except (DependencyUnavailable, Overloaded) as error:
                WAITING.set(1)
                _log.warning("still waiting for what the index needs", error=str(error))
                await self._pause_after_failure()
            else:
                WAITING.set(0)
                return

    async def _pause_after_failure(self) -> None:
        """Only a batch that is indexed resets the backoff."""
        self._failures += 1
        await self._pause(_BACKOFF.delay(self._failures))

    async def _pause(self, delay_s: float) -> None:
        """Sleep, but no longer than until `stop`."""
        with suppress(TimeoutError):
            async with asyncio.timeout(delay_s):
                await self._stopping.wait()

    async def _index(self, events: Sequence[Event]) -> None:
        """Raises DependencyUnavailable or Overloaded; whatever else goes wrong concerns an event alone."""
        try:
            await self._index_together(events)
        except (DependencyUnavailable, Overloaded):
            raise
        except Exception as error:  # noqa: BLE001  whatever it is, one event must not stop the others
            if len(events) == 1:
                # A fault of ours that nobody foresaw. The redrive policy bounds how often it is met.
                _log.exception("event left", request_id=events[0].request_id)
                DOCUMENTS.labels(WriteStatus.REJECTED).inc()
                return
            _log.warning("one by one, to find what went wrong", error=repr(error))
            for event in events:
                await self._index([event])

    async def _index_together(self, events: Sequence[Event]) -> None:
        looked = await look_up(self._tables, [event.request_id for event in events])
        documents = [each for each in looked if isinstance(each, SearchDocument)]
        written = await self._write(documents) if documents else ()
        answers = iter(written)
        done = []
        for event, each in zip(events, looked, strict=True):
            outcome = (
                _told(event, each, next(answers))
                if isinstance(each, SearchDocument)
                else _unwritten(each)
            )
            DOCUMENTS.labels(outcome).inc()
            if outcome not in _LEFT:
                done.append(event)
        await self._queue.delete(done)

    async def _write(self, documents: Sequence[SearchDocument]) -> Sequence[WriteResult]:
        """Raises SearchUnavailable where the engine takes nothing, and not for these documents' sake."""
        BATCH_SIZE.observe(len(documents))
        written = await self._engine.write(documents)
        for document, each in zip(documents, written, strict=True):
            if each.status in _TAKEN:
                self._probe.remember(document.request_id)
                return written
        turned_away = [each for each in written if each.status is WriteStatus.UNAVAILABLE]
        if turned_away and not await self._probe.takes_another():
            raise SearchUnavailable(turned_away[0].reason)
        return written


def _told(event: Event, document: SearchDocument, written: WriteResult) -> WriteStatus:
    """Tell of an outcome by metrics and log."""
    if written.status is WriteStatus.INDEXED and event.first:
        # Clocks of two machines may disagree by more than a short wait.
        LAG_SECONDS.observe(max(0, now_ms() - document.created_at) / 1000)
    elif written.status in _LEFT:
        _log.error(
            "not indexed, left to the redrive policy",
            request_id=document.request_id,
            image_id=document.image_id,
            outcome=written.status,
            reason=written.reason,
        )
    return written.status


def _unwritten(looked: LookupResult) -> str:
    return WriteStatus.REJECTED if isinstance(looked, MalformedRow) else GONE


def _sorted_out(
    answers: Sequence[list[Event] | BaseException],
) -> tuple[list[Event], DependencyUnavailable | None]:
    """What was received, and why not all could be. Raises what is a fault of ours."""
    events: list[Event] = []
    failure = None
    for answer in answers:
        if isinstance(answer, DependencyUnavailable):
            failure = answer
        elif isinstance(answer, BaseException):
            raise answer
        else:
            events.extend(answer)
    return events, failure
