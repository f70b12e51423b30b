"""The indexer's loop: receives events, reads their documents, writes them to the engine, acknowledges the events.

An event is acknowledged only after its image is in the index, or has no place in it. So no event is lost if the process
is killed, and a repeated write has the same effect. While the engine or a table is down nothing is received, because
receives are counted: events wait in the queue, and the health check tries the documents of events received before.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial

import structlog

from consumer.indexer.buffer import Buffer
from consumer.indexer.event_queue import Event, EventQueue
from consumer.indexer.health_check import EngineHealthCheck
from consumer.indexer.lookup import LookupResult, look_up
from consumer.indexer.metrics import BATCH_SIZE, DOCUMENTS, GONE, LAG_SECONDS, WAITING
from core.aws.batch import MAX_BATCH
from core.dynamodb.tables import Tables
from core.errors import DependencyUnavailable, MalformedRow, Overloaded, SearchUnavailable
from core.resilience.backoff import Backoff
from core.runtime.clock import now_ms
from core.search.document import SearchDocument
from core.search.engine import SearchWriter, WriteResult, WriteStatus

_log = structlog.get_logger()

_ACCEPTED = frozenset({WriteStatus.INDEXED, WriteStatus.STALE})
_NOT_INDEXED = frozenset({WriteStatus.REJECTED, WriteStatus.UNAVAILABLE})
"""Their events are not acknowledged: SQS delivers them again until the redrive policy moves them to the search DLQ."""
_MAX_RECEIVES = 8
"""Concurrent receives."""
_RECEIVE_MARGIN_S = 2.0
_BACKOFF = Backoff(0.5, 30.0)


class Indexer:
    """`run` once; `stop` ends it. `receive_wait` (long poll) and `drain_grace` are in seconds."""

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
        self._health_check = EngineHealthCheck(tables, engine)
        self._buffer = Buffer()
        self._not_receiving = asyncio.Event()
        """Set while no receive is in progress."""
        self._not_receiving.set()
        self._stopping = asyncio.Event()
        self._failures = 0

    def stop(self) -> None:
        """Stop receiving; `run` returns after the batch in progress."""
        self._stopping.set()
        self._buffer.stop()

    async def run(self) -> None:
        receiving = asyncio.create_task(self._receive_forever())
        indexing = asyncio.create_task(self._index_forever())
        tasks = {receiving, indexing}
        try:
            # A task ends only after `stop`, or by a bug, which ends the other task as well.
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            self.stop()
            grace = max(self._drain_grace, self._receive_wait + _RECEIVE_MARGIN_S)
            await asyncio.wait(tasks, timeout=grace)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
        await self._queue.release(self._buffer.pause())
        for task in tasks:
            if not task.cancelled():
                task.result()

    async def _receive_forever(self) -> None:
        failures, receives = 0, 1
        while capacity := await self._buffer.capacity():
            calls = max(1, min(receives, capacity // MAX_BATCH))
            # Only a single call may poll long: events of the other calls would wait for its end.
            wait = self._receive_wait if calls == 1 else 0
            self._not_receiving.clear()
            try:
                results = await asyncio.gather(
                    *(self._queue.receive(capacity, wait=wait) for _ in range(calls)),
                    return_exceptions=True,
                )
            finally:
                self._not_receiving.set()
            events, outage = _split(results)
            await self._queue.release(self._buffer.put(events))
            if outage is not None:
                _log.warning("receive failed", error=str(outage))
                failures += 1
                await self._sleep(_BACKOFF.delay(failures))
                continue
            failures = 0
            full = len(events) >= calls * MAX_BATCH
            receives = min(_MAX_RECEIVES, receives * 2) if full else 1

    async def _index_forever(self) -> None:
        await self._retry_until_healthy(self._engine.prepare)
        self._buffer.resume()
        while events := await self._buffer.take_batch():
            try:
                await self._index(events)
            except (DependencyUnavailable, Overloaded) as error:
                _log.warning("indexing paused", error=str(error))
                WAITING.set(1)
                await self._release([*events, *self._buffer.pause()])
                await self._back_off()
                # The check also creates the index if it is missing, for example after a lost disk.
                request_ids = [event.request_id for event in events]
                await self._retry_until_healthy(partial(self._health_check.check, request_ids))
                self._buffer.resume()
            else:
                self._failures = 0
            finally:
                self._buffer.batch_done()

    async def _release(self, events: Sequence[Event]) -> None:
        """Release events after any receive in progress, which would receive them again at once."""
        await self._not_receiving.wait()
        await self._queue.release(events)

    async def _retry_until_healthy(self, check: Callable[[], Awaitable[None]]) -> None:
        """Retry a check until it succeeds. Nothing is received meanwhile.

        Without tenacity: `stop` ends the loop in the middle of a delay, without a further attempt.
        """
        while not self._stopping.is_set():
            try:
                await check()
            except (DependencyUnavailable, Overloaded) as error:
                WAITING.set(1)
                _log.warning("indexing still paused", error=str(error))
                await self._back_off()
            else:
                WAITING.set(0)
                return

    async def _back_off(self) -> None:
        """Only a batch that is indexed resets the backoff."""
        self._failures += 1
        await self._sleep(_BACKOFF.delay(self._failures))

    async def _sleep(self, delay_s: float) -> None:
        """Sleep, but not beyond `stop`."""
        with suppress(TimeoutError):
            async with asyncio.timeout(delay_s):
                await self._stopping.wait()

    async def _index(self, events: Sequence[Event]) -> None:
        """Index events. Raises DependencyUnavailable or Overloaded; after any other error, index them one by one."""
        try:
            await self._index_batch(events)
        except (DependencyUnavailable, Overloaded):
            raise
        except Exception as error:  # noqa: BLE001  whatever it is, one event must not stop the others
            if len(events) == 1:
                # An unexpected error in our code. The redrive policy limits how often the event is delivered.
                _log.exception("event not indexed", request_id=events[0].request_id)
                DOCUMENTS.labels(WriteStatus.REJECTED).inc()
                return
            _log.warning("batch failed, indexing its events one by one", error=repr(error))
            for event in events:
                await self._index([event])

    async def _index_batch(self, events: Sequence[Event]) -> None:
        found = await look_up(self._tables, [event.request_id for event in events])
        documents = [each for each in found if isinstance(each, SearchDocument)]
        results = iter(await self._write(documents) if documents else ())
        finished = []
        for event, each in zip(events, found, strict=True):
            outcome = (
                _report(event, each, next(results))
                if isinstance(each, SearchDocument)
                else _outcome_without_document(each)
            )
            DOCUMENTS.labels(outcome).inc()
            if outcome not in _NOT_INDEXED:
                finished.append(event)
        await self._queue.ack(finished)

    async def _write(self, documents: Sequence[SearchDocument]) -> Sequence[WriteResult]:
        """Write documents. Raises SearchUnavailable if the engine accepts none, nor one that it accepted before."""
        BATCH_SIZE.observe(len(documents))
        results = await self._engine.write(documents)
        for document, result in zip(documents, results, strict=True):
            if result.status in _ACCEPTED:
                self._health_check.remember_indexed(document.request_id)
                return results
        unavailable = [each for each in results if each.status is WriteStatus.UNAVAILABLE]
        if unavailable and not await self._health_check.accepts_known_document():
            raise SearchUnavailable(unavailable[0].reason)
        return results


def _report(event: Event, document: SearchDocument, result: WriteResult) -> WriteStatus:
    """Measure or log the result of a write, and return its status."""
    if result.status is WriteStatus.INDEXED and event.first:
        # The clocks of two machines may differ by more than a short wait.
        LAG_SECONDS.observe(max(0, now_ms() - document.created_at) / 1000)
    elif result.status in _NOT_INDEXED:
        _log.error(
            "not indexed, left to the redrive policy",
            request_id=document.request_id,
            image_id=document.image_id,
            outcome=result.status,
            reason=result.reason,
        )
    return result.status


def _outcome_without_document(found: LookupResult) -> str:
    return WriteStatus.REJECTED if isinstance(found, MalformedRow) else GONE


def _split(
    results: Sequence[list[Event] | BaseException],
) -> tuple[list[Event], DependencyUnavailable | None]:
    """Return the events received, and the error of a receive that failed. Raises unexpected errors."""
    events: list[Event] = []
    outage = None
    for result in results:
        if isinstance(result, DependencyUnavailable):
            outage = result
        elif isinstance(result, BaseException):
            raise result
        else:
            events.extend(result)
    return events, outage
