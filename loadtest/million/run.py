"""One run: submit everything, follow it to its end, sample meanwhile, and prove at last."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from imageservice.v1 import image_service_pb2_grpc as pb_grpc
from loadtest.million import measuring
from loadtest.million.aws_access import AwsAccess
from loadtest.million.desk import ACKNOWLEDGE, TERMINAL, Desk
from loadtest.million.follower import Follower, follower
from loadtest.million.items import Items
from loadtest.million.ledger import COMPLETED, Ledger
from loadtest.million.looking_up import LookUp, StatusLookUp, TableLookUp, chunks
from loadtest.million.measuring import Mark, Tenths
from loadtest.million.progress_bar import ProgressBar
from loadtest.million.proof import Proof, RowCounts
from loadtest.million.settings import RunSettings
from loadtest.million.submitting import Sender, StreamSender, UnarySender
from loadtest.million.work import Work
from loadtest.run_report.processes import ProcessSampler
from loadtest.run_report.record import Cell, Heading, RunRecord, Table, Verdict
from loadtest.run_report.recorder import Recorder
from loadtest.run_report.schedule import Schedule

SAMPLE_SECONDS = 1.0


@dataclass(slots=True)
class Run:
    """`execute` once, then `record`, also after a cancellation."""

    settings: RunSettings
    items: Items
    stub: "pb_grpc.ImageServiceAsyncStub"
    aws: AwsAccess | None
    sampler: ProcessSampler
    metrics: tuple[str, ...]
    bar: ProgressBar
    recorder: Recorder = field(init=False)
    ledger: Ledger = field(init=False)
    proof: Proof = field(init=False)
    _tenths: Tenths = field(init=False)
    _seconds: float = 0.0
    _calls: list[Mapping[str, float]] = field(default_factory=list)
    _verdict: Verdict | None = None

    def __post_init__(self) -> None:
        self.recorder = Recorder((ACKNOWLEDGE, TERMINAL))
        self.ledger = Ledger(self.items.total)
        self.proof = Proof(self.items, self.ledger)
        self._tenths = Tenths(self.items.total)

    async def execute(self) -> None:
        """Raises what cannot be helped; `record` tells what was done until then."""
        rows_before = await self._rows()
        self._calls.append(await measuring.aws_calls(self.metrics))
        await self._load()
        self._calls.append(await measuring.aws_calls(self.metrics))
        await self._prove(rows_before)

    async def _load(self) -> None:
        rate = self.settings.rate
        schedule = None if rate is None else Schedule(time.monotonic(), rate)
        work = Work(self.ledger, self.items.total, window=self.settings.window, schedule=schedule)
        desk = Desk(self.items, self.ledger, work, self.recorder)
        self.bar.begin("submitted, ended", self.items.total)
        async with follower(self._told_by, self.stub, desk) as learning:
            try:
                await self._until_ended(work, desk, learning)
            finally:
                self._seconds = self.recorder.elapsed

    @property
    def _told_by(self) -> AwsAccess | None:
        return None if self.settings.watch else self.aws

    async def _until_ended(self, work: Work, desk: Desk, learning: Follower) -> None:
        senders = self._senders(work, desk)
        tasks = [
            asyncio.create_task(work())
            for work in (work.feed, learning.follow, *(sender.run for sender in senders))
        ]
        try:
            await self._sample_until_ended(tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _senders(self, work: Work, desk: Desk) -> list[Sender]:
        if self.settings.unary:
            return [UnarySender(self.stub, work, desk)]
        return [StreamSender(self.stub, work, desk) for _ in range(self.settings.streams)]

    async def _sample_until_ended(self, tasks: list[asyncio.Task[None]]) -> None:
        """Until all is known, a task has failed, or there was no news for as long as patience lasts."""
        news, since = -1, time.monotonic()
        while True:
            await self._sample()
            for task in tasks:
                if task.done():
                    task.result()
            known = self.ledger.settled + self.ledger.told
            if known != news:
                news, since = known, time.monotonic()
            all_told = self.ledger.told >= self.ledger.acknowledged
            if self.ledger.settled >= self.items.total and all_told:
                return
            if time.monotonic() - since > self.settings.patience:
                self.recorder.error("patience lost")
                return
            await asyncio.sleep(SAMPLE_SECONDS)

    async def _sample(self) -> None:
        depth = None if self.aws is None else await measuring.queue_depth(self.aws)
        processes = self.sampler.sample()
        ended = self.ledger.told
        self.recorder.sample(depth=depth, processes=processes)
        self._tenths.see(Mark(ended, self.recorder.elapsed, processes))
        self.bar.show(ended, f"{ended / max(self.recorder.elapsed, 1e-9):,.0f}/s")

    async def _rows(self) -> RowCounts | None:
        """Rows in the tables; None where they cannot be counted exactly."""
        if self.aws is None or not self.aws.counts_rows:
            return None
        tables = (self.aws.requests_table, self.aws.images_table)
        counts = [
            (await self.aws.clients.dynamodb.describe_table(TableName=name))["Table"]["ItemCount"]
            for name in tables
        ]
        return RowCounts(*counts)

    async def _prove(self, before: RowCounts | None) -> None:
        look_up: LookUp = (
            StatusLookUp(self.stub, self.items)
            if self.aws is None
            else TableLookUp(self.aws, self.items)
        )
        self.bar.begin("looked up", self.ledger.acknowledged)
        waiting = chunks(self.ledger.all_acknowledged(), look_up.size)

        async def read() -> None:
            for chunk in waiting:
                found = await look_up.find(chunk)
                for number in chunk:
                    self.proof.look_at(number, found.get(number))
                self.bar.show(self.proof.states.total())

        async with asyncio.TaskGroup() as group:
            for _ in range(look_up.at_once):
                group.create_task(read())
        after = await self._rows()
        added = None
        if before is not None and after is not None:
            added = RowCounts(after.requests - before.requests, after.images - before.images)
        self.proof.close(added)
        self._verdict = self.proof.verdict()

    def record(self, heading: Heading, why_unproven: str) -> RunRecord:
        """`why_unproven` is told where the proof was not reached."""
        far = (
            f"{self.ledger.acknowledged:,} of {self.items.total:,} were acknowledged and "
            f"{self.ledger.told:,} had ended. Nothing was looked up."
        )
        unproven = Verdict(passed=False, sentences=(why_unproven, far))
        return self.recorder.finish(
            heading,
            verdict=self._verdict or unproven,
            totals=self._totals(),
            tables=self._tables(),
            seconds=self._seconds,
        )

    def _totals(self) -> dict[str, Cell]:
        totals: dict[str, Cell] = {
            "ended a second": round(self.ledger.told / max(self._seconds, 1e-9), 1),
            "completed": self.ledger.ended[COMPLETED],
            "failed": self.ledger.told - self.ledger.ended[COMPLETED],
            "notified again": self.ledger.repeats,
        }
        growth = self._tenths.growth()
        if growth is not None:
            totals["CPU an item, last tenth to first"] = f"{growth:.2f}x"
        return totals

    def _tables(self) -> list[Table]:
        tables = [self._tenths.table()] if len(self._tenths.marks) > 1 else []
        if len(self._calls) > 1 and any(self._calls):
            before, after = self._calls
            tables.append(measuring.calls_table(before, after, self.ledger.told))
        failed = [(code, count) for code, count in self.ledger.ended.items() if code != COMPLETED]
        if failed:
            tables.append(Table("Failed requests", ("code", "count"), tuple(failed)))
        return tables
