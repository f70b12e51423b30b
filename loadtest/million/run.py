"""One run: submit all items, wait for their ends while sampling, and verify at the end."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from imageservice.v1 import image_service_pb2_grpc as pb_grpc
from loadtest.cancellation import cancel_all
from loadtest.driver.progress_bar import ProgressBar
from loadtest.million.aws import AwsAccess, calls_made, calls_table, lanes_depth
from loadtest.million.completion_listener import CompletionListener, completion_listener
from loadtest.million.deciles import Deciles, Mark, stability
from loadtest.million.event_router import ACKNOWLEDGE, TERMINAL, EventRouter
from loadtest.million.items import SUBMITS_PER_BODY, Items
from loadtest.million.ledger import COMPLETED, Ledger
from loadtest.million.scheduler import Scheduler
from loadtest.million.sender import Sender, StreamSender, UnarySender
from loadtest.million.verification import Verification
from loadtest.million.verifier import Lookup, StatusLookup, TableLookup, Verifier
from loadtest.run_report.processes import ProcessSampler
from loadtest.run_report.record import Cell, Heading, RunRecord, Table, Verdict
from loadtest.run_report.recorder import Depth, Recorder
from loadtest.run_report.schedule import Schedule

SAMPLE_S = 1.0
EMPTY_READINGS = 3
"""Consecutive readings that must find the queues empty, because SQS counts approximately."""

_EMPTY = Depth(0, 0)
_UPLOAD = "s3:PutObject"


@dataclass(frozen=True, slots=True)
class RunSettings:
    requests: int
    window: int
    """Maximum of unfinished items; ignored with a rate."""
    rate: float | None
    """Items per second of an open loop; None for a closed loop."""
    customers: int
    bodies: int | None
    streams: int
    unary: bool
    watch: bool
    """Use WatchRequest even if notifications are available."""
    progress_timeout: float
    """Seconds without progress after which waiting ends, and for which a failing read is repeated."""
    note: str
    """A sentence of the user about the system, for the report."""

    @property
    def distinct_bodies(self) -> int:
        """The given number of bodies, or as many as make SUBMITS_PER_BODY submits each."""
        return min(self.requests, self.bodies or max(1, self.requests // SUBMITS_PER_BODY))

    def for_report(self) -> Mapping[str, Cell]:
        return {
            "requests": self.requests,
            "loop": f"closed, at most {self.window:,} unfinished"
            if self.rate is None
            else f"open, {self.rate:g} per second",
            "customers": self.customers,
            "distinct bodies": self.distinct_bodies,
            "submitted by": "SubmitImage"
            if self.unary
            else f"SubmitImages, {self.streams} streams",
            **({"note": self.note} if self.note else {}),
        }


@dataclass(slots=True)
class Run:
    """Call `execute` once, then `record`, also after a cancellation."""

    settings: RunSettings
    items: Items
    stub: "pb_grpc.ImageServiceAsyncStub"
    aws: AwsAccess | None
    sampler: ProcessSampler
    metrics: tuple[str, ...]
    bar: ProgressBar
    recorder: Recorder = field(init=False)
    ledger: Ledger = field(init=False)
    verification: Verification = field(init=False)
    _deciles: Deciles = field(init=False)
    _seconds: float = 0.0
    _sent_seconds: float = 0.0
    """From the start until the last item was sent."""
    _calls: list[Mapping[str, float]] = field(default_factory=list)
    _verdict: Verdict | None = None

    def __post_init__(self) -> None:
        self.recorder = Recorder((ACKNOWLEDGE, TERMINAL))
        self.ledger = Ledger(self.items.total)
        self.verification = Verification(self.items, self.ledger)
        self._deciles = Deciles(self.items.total)

    async def execute(self) -> None:
        """Raises errors that end the run; `record` then describes the part that was done."""
        verifier = self._verifier()
        rows_before = await verifier.rows()
        self._calls.append(await calls_made(self.metrics))
        await self._load()
        self._calls.append(await calls_made(self.metrics))
        await verifier.verify(rows_before)
        self._verdict = self.verification.verdict(stability(self._deciles))

    def _verifier(self) -> Verifier:
        lookup: Lookup = (
            StatusLookup(self.stub, self.items)
            if self.aws is None
            else TableLookup(self.aws, self.items)
        )
        return Verifier(
            self.verification, lookup, self.aws, self.settings.progress_timeout, self.bar
        )

    async def _load(self) -> None:
        scheduler = Scheduler(self.ledger, self.items.total, window=self.settings.window)
        router = EventRouter(self.items, self.ledger, scheduler, self.recorder)
        self.bar.begin("submitted, ended", self.items.total)
        notifications = None if self.settings.watch else self.aws
        async with completion_listener(notifications, self.stub, router) as listener:
            listening = asyncio.create_task(listener.listen())
            try:
                await self._submit(scheduler, router, listening)
                self._seconds = self.recorder.elapsed
                await self._wait_for_empty_queues(listener)
            finally:
                self._seconds = self._seconds or self.recorder.elapsed
                await cancel_all([listening])

    async def _submit(
        self, scheduler: Scheduler, router: EventRouter, listening: asyncio.Task[None]
    ) -> None:
        """Submit all items and wait for their ends."""
        rate = self.settings.rate
        schedule = None if rate is None else Schedule(time.monotonic(), rate)
        feeding = asyncio.create_task(scheduler.feed(schedule))
        sending = [asyncio.create_task(each.run()) for each in self._senders(scheduler, router)]
        try:
            await self._sample_until_ended([listening, feeding, *sending])
        finally:
            self._sent_seconds = router.last_sent - self.recorder.started
            await cancel_all([feeding, *sending])

    def _senders(self, scheduler: Scheduler, router: EventRouter) -> list[Sender]:
        if self.settings.unary:
            return [UnarySender(self.stub, scheduler, router)]
        return [StreamSender(self.stub, scheduler, router) for _ in range(self.settings.streams)]

    async def _sample_until_ended(self, tasks: list[asyncio.Task[None]]) -> None:
        """Sample until all items ended, a task failed, or there was no progress for `progress_timeout` seconds."""
        last, since = -1, time.monotonic()
        while True:
            await self._sample()
            for task in tasks:
                if task.done():
                    task.result()
            progress = self.ledger.answered + self.ledger.ended
            if progress != last:
                last, since = progress, time.monotonic()
            all_ended = self.ledger.ended >= self.ledger.acknowledged
            if self.ledger.answered >= self.items.total and all_ended:
                return
            if time.monotonic() - since > self.settings.progress_timeout:
                self.recorder.error("no progress")
                return
            await asyncio.sleep(SAMPLE_S)

    async def _wait_for_empty_queues(self, listener: CompletionListener) -> None:
        """Wait for empty queues, at most `progress_timeout`. A waiting message could still duplicate an item."""
        if self.aws is None:
            return
        empty, since = 0, time.monotonic()
        while empty < EMPTY_READINGS:
            depths = (await lanes_depth(self.aws), await listener.backlog())
            empty = empty + 1 if depths == (_EMPTY, _EMPTY) else 0
            if time.monotonic() - since > self.settings.progress_timeout:
                self.recorder.error("queue not empty")
                return
            await asyncio.sleep(SAMPLE_S)

    async def _sample(self) -> None:
        depth = None if self.aws is None else await lanes_depth(self.aws)
        processes = self.sampler.sample()
        ended = self.ledger.ended
        self.recorder.sample(depth=depth, processes=processes)
        self._deciles.add(Mark(ended, self.recorder.elapsed, processes))
        self.bar.show(ended, f"{ended / max(self.recorder.elapsed, 1e-9):,.0f}/s")

    @property
    def verified(self) -> bool:
        """Whether the verification finished, whatever its verdict."""
        return self._verdict is not None

    def record(self, heading: Heading, failure: str) -> RunRecord:
        """Return the record. `failure` explains why the verification did not finish."""
        progress = (
            f"{self.ledger.acknowledged:,} of {self.items.total:,} were acknowledged and "
            f"{self.ledger.ended:,} had ended. {self.verification.states.total():,} were looked up."
        )
        unverified = Verdict(passed=False, sentences=(failure, progress))
        return self.recorder.finish(
            heading,
            verdict=self._verdict or unverified,
            totals=self._totals(),
            tables=self._tables(),
            seconds=self._seconds,
        )

    def _totals(self) -> dict[str, Cell]:
        totals: dict[str, Cell] = {
            "ended per second": round(self.ledger.ended / max(self._seconds, 1e-9), 1),
            "completed": self.ledger.outcomes[COMPLETED],
            "failed": self.ledger.ended - self.ledger.outcomes[COMPLETED],
            "repeated notifications": self.ledger.repeated,
            "redelivered notifications": self.ledger.redelivered,
            "repeated uploads": self._repeated_uploads(),
        }
        if self.settings.rate is not None and self._sent_seconds > 0:
            totals["requested rate"] = self.settings.rate
            totals["actual rate"] = round(self.recorder.counts["submitted"] / self._sent_seconds, 1)
        growth = self._deciles.cpu_growth()
        if growth is not None:
            totals["CPU per item, last tenth over first"] = f"{growth:.2f}x"
        return totals

    def _repeated_uploads(self) -> Cell:
        """Return the uploads beyond one per completed image: repeated messages and retried uploads."""
        if len(self._calls) < 2 or not any(self._calls):  # noqa: PLR2004  before and after
            return "not measured"
        before, after = (calls.get(_UPLOAD, 0.0) for calls in self._calls)
        return round(after - before) - self.ledger.outcomes[COMPLETED]

    def _tables(self) -> list[Table]:
        tables = [self._deciles.table()] if len(self._deciles.marks) > 1 else []
        if len(self._calls) > 1 and any(self._calls):
            before, after = self._calls
            tables.append(calls_table(before, after, self.ledger.ended))
        failed = [(code, n) for code, n in self.ledger.outcomes.items() if code != COMPLETED]
        if failed:
            tables.append(Table("Failed requests", ("code", "count"), tuple(failed)))
        return tables
