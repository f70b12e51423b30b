"""One run: submit, let some requests end, then read every list of every customer while more is submitted."""

import asyncio
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from imageservice.v1 import image_service_pb2_grpc as pb_grpc
from loadtest.cancellation import cancel_all
from loadtest.driver.progress_bar import ProgressBar
from loadtest.million.aws import calls_made
from loadtest.million.event_router import ACKNOWLEDGE
from loadtest.run_report.processes import ProcessSampler
from loadtest.run_report.record import Cell, Heading, RunRecord, Verdict
from loadtest.run_report.recorder import Recorder
from loadtest.walk.customer import CustomerWalks
from loadtest.walk.figures import STAGES, Figures
from loadtest.walk.items import WalkItems
from loadtest.walk.lists import EVERYTHING, Selection
from loadtest.walk.snapshot import SnapshotReader
from loadtest.walk.submitter import SteadySubmitter, submit_all
from loadtest.walk.verification import Verification

SAMPLE_S = 1.0
ENDED_SHARE = 10
"""One in this many requests must have ended before the first walk."""
_QUERY = "dynamodb:Query"
_NO_SEARCH = "The server has no search: no search was walked."


@dataclass(frozen=True, slots=True)
class WalkSettings:
    requests: int
    """Submitted before the first walk."""
    customers: int
    rate: float
    """Requests per second that are submitted during the walks."""
    at_once: int
    """Customers whose lists are read concurrently."""
    streams: int
    progress_timeout: float
    """Seconds without progress after which waiting ends, and for which a failing call is repeated."""
    note: str
    """A sentence of the user about the system, for the report."""
    only: frozenset[Selection] = EVERYTHING

    def for_report(self) -> Mapping[str, Cell]:
        return {
            "requests": self.requests,
            "customers": self.customers,
            "submitted during the walks": f"{self.rate:g} per second",
            "customers walked at a time": self.at_once,
            **({} if self.only == EVERYTHING else {"walked only": ", ".join(sorted(self.only))}),
            **({"note": self.note} if self.note else {}),
        }


@dataclass(slots=True)
class Run:
    """Call `execute` once, then `record`, also after a cancellation."""

    settings: WalkSettings
    items: WalkItems
    stub: "pb_grpc.ImageServiceAsyncStub"
    selected: frozenset[Selection]
    """`settings.only`, without searches if the server has no search engine."""
    sampler: ProcessSampler
    metrics: tuple[str, ...]
    bar: ProgressBar
    recorder: Recorder = field(init=False)
    verification: Verification = field(init=False)
    _figures: Figures = field(init=False)
    _submitter: SteadySubmitter = field(init=False)
    _snapshots: SnapshotReader = field(init=False)
    _customers: int = 0
    """Number of customers whose lists have been read."""
    _seconds: float = 0.0
    _queries: float | None = None
    _verdict: Verdict | None = None

    def __post_init__(self) -> None:
        self.recorder = Recorder((ACKNOWLEDGE, *STAGES))
        self.verification = Verification(self.items)
        self._figures = Figures(self.recorder)
        progress_timeout = self.settings.progress_timeout
        self._submitter = SteadySubmitter(self.stub, self.items, self.recorder, progress_timeout)
        self._snapshots = SnapshotReader(self.stub, self.items, progress_timeout)

    async def execute(self) -> None:
        """Raises errors that end the run; `record` then describes the part that was done."""
        sampling = asyncio.create_task(self._sample_forever())
        settings = self.settings
        try:
            await submit_all(
                self.stub,
                self.items,
                self.recorder,
                self.bar,
                streams=settings.streams,
                progress_timeout=settings.progress_timeout,
            )
            await self._wait_until_some_ended()
            await self._walk_while_submitting()
        finally:
            await cancel_all([sampling])
        self._verdict = self._with_omissions(
            self.verification.verdict(self.items.total, self._submitter.submitted)
        )

    def _with_omissions(self, verdict: Verdict) -> Verdict:
        """Add a sentence about lists that the server does not have."""
        more = () if self.selected == self.settings.only else (_NO_SEARCH,)
        return Verdict(verdict.passed, (*verdict.sentences, *more))

    async def _sample_forever(self) -> None:
        while True:
            self.recorder.sample(processes=self.sampler.sample())
            await asyncio.sleep(SAMPLE_S)

    async def _wait_until_some_ended(self) -> None:
        first = range(max(1, self.items.total // ENDED_SHARE))
        self.bar.begin("ended", len(first))
        for number in first:
            if not self.items.delayed(number):
                await self._snapshots.wait_until_ended(number)
            self.bar.show(number + 1)

    async def _walk_while_submitting(self) -> None:
        before = await calls_made(self.metrics)
        began = time.monotonic()
        self.bar.begin("customers walked", self.settings.customers)
        submitting = asyncio.create_task(self._submitter.submit(self.settings.rate))
        walking = asyncio.create_task(self._walk_all())
        try:
            await asyncio.wait({submitting, walking}, return_when=asyncio.FIRST_COMPLETED)
            if submitting.done():
                submitting.result()
            await walking
        finally:
            self._seconds = time.monotonic() - began
            await cancel_all([walking, submitting])
        after = await calls_made(self.metrics)
        if after:
            self._queries = after.get(_QUERY, 0.0) - before.get(_QUERY, 0.0)

    async def _walk_all(self) -> None:
        waiting = iter(range(self.settings.customers))
        walks = CustomerWalks(
            stub=self.stub,
            items=self.items,
            selected=self.selected,
            progress_timeout=self.settings.progress_timeout,
            submitter=self._submitter,
            snapshots=self._snapshots,
            verification=self.verification,
            figures=self._figures,
        )
        async with asyncio.TaskGroup() as group:
            for _ in range(self.settings.at_once):
                group.create_task(self._walk_customers(walks, waiting))

    async def _walk_customers(self, walks: CustomerWalks, waiting: Iterator[int]) -> None:
        for at in waiting:
            await walks.walk(at)
            self._customers += 1
            self.bar.show(self._customers, f"{self._figures.calls:,} calls")

    def record(self, heading: Heading, failure: str) -> RunRecord:
        """Return the record. `failure` explains why the verification did not finish."""
        progress = f"The lists of {self._customers:,} of {self.settings.customers:,} customers were walked."
        unverified = self._with_omissions(Verdict(passed=False, sentences=(failure, progress)))
        return self.recorder.finish(
            heading,
            verdict=self._verdict or unverified,
            totals=self._totals(),
            tables=[self._figures.table()],
            seconds=self._seconds,
        )

    def _totals(self) -> dict[str, Cell]:
        calls, list_calls = self._figures.calls, self._figures.list_calls
        return {
            "submitted during the walks": self._submitter.submitted,
            "walks": self._figures.walks,
            "calls": calls,
            "listed per call": round(self._figures.listed / max(1, calls), 1),
            "queries per list call": "not measured"
            if self._queries is None or not list_calls
            else round(self._queries / list_calls, 2),
            "rejected tokens": self.verification.tokens.total(),
        }
