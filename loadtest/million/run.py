"""One run: submit everything, follow it to its end, sample meanwhile, and prove at last."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from imageservice.v1 import image_service_pb2_grpc as pb_grpc
from loadtest.cancellation import cancelled
from loadtest.driver.progress_bar import ProgressBar
from loadtest.million.aws_access import AwsAccess
from loadtest.million.aws_calls import calls_made, calls_table
from loadtest.million.desk import ACKNOWLEDGE, TERMINAL, Desk
from loadtest.million.follower import Follower, follower
from loadtest.million.items import Items
from loadtest.million.ledger import COMPLETED, Ledger
from loadtest.million.looking_up import LookUp, StatusLookUp, TableLookUp
from loadtest.million.proof import Proof
from loadtest.million.proving import Prover
from loadtest.million.queues import queue_depth
from loadtest.million.settings import RunSettings
from loadtest.million.steadiness import steadiness
from loadtest.million.submitting import Sender, StreamSender, UnarySender
from loadtest.million.tenths import Mark, Tenths
from loadtest.million.work import Work
from loadtest.run_report.processes import ProcessSampler
from loadtest.run_report.record import Cell, Heading, RunRecord, Table, Verdict
from loadtest.run_report.recorder import Depth, Recorder
from loadtest.run_report.schedule import Schedule

SAMPLE_SECONDS = 1.0
QUIET_LOOKS = 3
"""In a row that must find the queues empty: SQS counts approximately."""

_EMPTY = Depth(0, 0)
_UPLOAD = "s3:PutObject"


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
    _sent_seconds: float = 0.0
    """From the start until the last item was sent."""
    _calls: list[Mapping[str, float]] = field(default_factory=list)
    _verdict: Verdict | None = None

    def __post_init__(self) -> None:
        self.recorder = Recorder((ACKNOWLEDGE, TERMINAL))
        self.ledger = Ledger(self.items.total)
        self.proof = Proof(self.items, self.ledger)
        self._tenths = Tenths(self.items.total)

    async def execute(self) -> None:
        """Raises what cannot be helped; `record` tells what was done until then."""
        prover = self._prover()
        rows_before = await prover.rows()
        self._calls.append(await calls_made(self.metrics))
        await self._load()
        self._calls.append(await calls_made(self.metrics))
        await prover.prove(rows_before)
        self._verdict = self.proof.verdict(steadiness(self._tenths))

    def _prover(self) -> Prover:
        look_up: LookUp = (
            StatusLookUp(self.stub, self.items)
            if self.aws is None
            else TableLookUp(self.aws, self.items)
        )
        return Prover(self.proof, look_up, self.aws, self.settings.patience, self.bar)

    async def _load(self) -> None:
        work = Work(self.ledger, self.items.total, window=self.settings.window)
        desk = Desk(self.items, self.ledger, work, self.recorder)
        self.bar.begin("submitted, ended", self.items.total)
        async with follower(self._told_by, self.stub, desk) as learning:
            following = asyncio.create_task(learning.follow())
            try:
                await self._until_told(work, desk, following)
                self._seconds = self.recorder.elapsed
                await self._until_quiet(learning)
            finally:
                self._seconds = self._seconds or self.recorder.elapsed
                await cancelled([following])

    @property
    def _told_by(self) -> AwsAccess | None:
        return None if self.settings.watch else self.aws

    async def _until_told(self, work: Work, desk: Desk, following: asyncio.Task[None]) -> None:
        rate = self.settings.rate
        schedule = None if rate is None else Schedule(time.monotonic(), rate)
        feeding = asyncio.create_task(work.feed(schedule))
        sending = [asyncio.create_task(sender.run()) for sender in self._senders(work, desk)]
        try:
            await self._sample_until_told([following, feeding, *sending])
        finally:
            self._sent_seconds = desk.last_sent - self.recorder.started
            await cancelled([feeding, *sending])

    def _senders(self, work: Work, desk: Desk) -> list[Sender]:
        if self.settings.unary:
            return [UnarySender(self.stub, work, desk)]
        return [StreamSender(self.stub, work, desk) for _ in range(self.settings.streams)]

    async def _sample_until_told(self, tasks: list[asyncio.Task[None]]) -> None:
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

    async def _until_quiet(self, learning: Follower) -> None:
        """Until the queues are empty, or patience ends: what is on its way could still double something."""
        if self.aws is None:
            return
        quiet, since = 0, time.monotonic()
        while quiet < QUIET_LOOKS:
            depths = (await queue_depth(self.aws, self.aws.queue_url), await learning.waiting())
            quiet = quiet + 1 if depths == (_EMPTY, _EMPTY) else 0
            if time.monotonic() - since > self.settings.patience:
                self.recorder.error("queue not empty")
                return
            await asyncio.sleep(SAMPLE_SECONDS)

    async def _sample(self) -> None:
        depth = None if self.aws is None else await queue_depth(self.aws, self.aws.queue_url)
        processes = self.sampler.sample()
        ended = self.ledger.told
        self.recorder.sample(depth=depth, processes=processes)
        self._tenths.see(Mark(ended, self.recorder.elapsed, processes))
        self.bar.show(ended, f"{ended / max(self.recorder.elapsed, 1e-9):,.0f}/s")

    @property
    def proven(self) -> bool:
        """The proof came to its end, whatever its verdict."""
        return self._verdict is not None

    def record(self, heading: Heading, why_unproven: str) -> RunRecord:
        """`why_unproven` is told where the proof was not reached."""
        far = (
            f"{self.ledger.acknowledged:,} of {self.items.total:,} were acknowledged and "
            f"{self.ledger.told:,} had ended. {self.proof.states.total():,} were looked up."
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
            "redelivered": self.ledger.redelivered,
            "uploaded again": self._uploaded_again(),
        }
        if self.settings.rate is not None and self._sent_seconds > 0:
            totals["rate asked for"] = self.settings.rate
            totals["rate kept"] = round(self.recorder.counts["submitted"] / self._sent_seconds, 1)
        growth = self._tenths.growth()
        if growth is not None:
            totals["CPU an item, last tenth to first"] = f"{growth:.2f}x"
        return totals

    def _uploaded_again(self) -> Cell:
        """Uploads beyond one for each completed image: a message was taken up twice, or an upload was retried."""
        if len(self._calls) < 2 or not any(self._calls):  # noqa: PLR2004  before and after
            return "not measured"
        before, after = (calls.get(_UPLOAD, 0.0) for calls in self._calls)
        return round(after - before) - self.ledger.ended[COMPLETED]

    def _tables(self) -> list[Table]:
        tables = [self._tenths.table()] if len(self._tenths.marks) > 1 else []
        if len(self._calls) > 1 and any(self._calls):
            before, after = self._calls
            tables.append(calls_table(before, after, self.ledger.told))
        failed = [(code, count) for code, count in self.ledger.ended.items() if code != COMPLETED]
        if failed:
            tables.append(Table("Failed requests", ("code", "count"), tuple(failed)))
        return tables
