"""One run: submit, let some end, then walk every list of every customer while more is submitted."""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from imageservice.v1 import image_service_pb2_grpc as pb_grpc
from loadtest.cancellation import cancelled
from loadtest.driver.progress_bar import ProgressBar
from loadtest.million.aws_calls import calls_made
from loadtest.million.desk import ACKNOWLEDGE
from loadtest.run_report.processes import ProcessSampler
from loadtest.run_report.record import Cell, Heading, RunRecord, Verdict
from loadtest.run_report.recorder import Recorder
from loadtest.walk.choice import Choice
from loadtest.walk.customer import CustomerWalks
from loadtest.walk.figures import STAGES, Figures
from loadtest.walk.items import WalkItems
from loadtest.walk.looking import Looking
from loadtest.walk.proof import Proof
from loadtest.walk.settings import WalkSettings
from loadtest.walk.submitting import Steady, submit_all

SAMPLE_SECONDS = 1.0
ENDED_SHARE = 10
"""One of so many requests shall have ended before the first walk."""
_QUERY = "dynamodb:Query"
_NO_SEARCH = "The server has no search: no search was walked."


@dataclass(slots=True)
class Run:
    """`execute` once, then `record`, also after a cancellation."""

    settings: WalkSettings
    items: WalkItems
    stub: "pb_grpc.ImageServiceAsyncStub"
    chosen: frozenset[Choice]
    """What is walked: `settings.only`, less a search that the server does not have."""
    sampler: ProcessSampler
    metrics: tuple[str, ...]
    bar: ProgressBar
    recorder: Recorder = field(init=False)
    proof: Proof = field(init=False)
    _figures: Figures = field(init=False)
    _steady: Steady = field(init=False)
    _looking: Looking = field(init=False)
    _customers: int = 0
    """Whose lists have been walked."""
    _seconds: float = 0.0
    _queries: float | None = None
    _verdict: Verdict | None = None

    def __post_init__(self) -> None:
        self.recorder = Recorder((ACKNOWLEDGE, *STAGES))
        self.proof = Proof(self.items)
        self._figures = Figures(self.recorder)
        patience = self.settings.patience
        self._steady = Steady(self.stub, self.items, self.recorder, patience)
        self._looking = Looking(self.stub, self.items, patience)

    async def execute(self) -> None:
        """Raises what cannot be helped; `record` tells what was done until then."""
        sampling = asyncio.create_task(self._sample())
        settings = self.settings
        try:
            await submit_all(
                self.stub,
                self.items,
                self.recorder,
                self.bar,
                streams=settings.streams,
                patience=settings.patience,
            )
            await self._until_some_ended()
            await self._walk_meanwhile()
        finally:
            await cancelled([sampling])
        self._verdict = self._told(self.proof.verdict(self.items.total, self._steady.came))

    def _told(self, verdict: Verdict) -> Verdict:
        """With a sentence on what could not be walked."""
        more = () if self.chosen == self.settings.only else (_NO_SEARCH,)
        return Verdict(verdict.passed, (*verdict.sentences, *more))

    async def _sample(self) -> None:
        while True:
            self.recorder.sample(processes=self.sampler.sample())
            await asyncio.sleep(SAMPLE_SECONDS)

    async def _until_some_ended(self) -> None:
        some = range(max(1, self.items.total // ENDED_SHARE))
        self.bar.begin("ended", len(some))
        for number in some:
            if not self.items.late(number):
                await self._looking.until_ended(number)
            self.bar.show(number + 1)

    async def _walk_meanwhile(self) -> None:
        before = await calls_made(self.metrics)
        began = time.monotonic()
        self.bar.begin("customers walked", self.settings.customers)
        submitting = asyncio.create_task(self._steady.submit(self.settings.rate))
        walking = asyncio.create_task(self._walk_all())
        try:
            await asyncio.wait({submitting, walking}, return_when=asyncio.FIRST_COMPLETED)
            if submitting.done():
                submitting.result()
            await walking
        finally:
            self._seconds = time.monotonic() - began
            await cancelled([walking, submitting])
        after = await calls_made(self.metrics)
        if after:
            self._queries = after.get(_QUERY, 0.0) - before.get(_QUERY, 0.0)

    async def _walk_all(self) -> None:
        waiting = iter(range(self.settings.customers))
        walks = CustomerWalks(
            stub=self.stub,
            items=self.items,
            chosen=self.chosen,
            patience=self.settings.patience,
            steady=self._steady,
            looking=self._looking,
            proof=self.proof,
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

    @property
    def proven(self) -> bool:
        """The proof came to its end, whatever its verdict."""
        return self._verdict is not None

    def record(self, heading: Heading, why_unproven: str) -> RunRecord:
        """`why_unproven` is told where the proof was not reached."""
        far = f"The lists of {self._customers:,} of {self.settings.customers:,} customers were walked."
        unproven = self._told(Verdict(passed=False, sentences=(why_unproven, far)))
        return self.recorder.finish(
            heading,
            verdict=self._verdict or unproven,
            totals=self._totals(),
            tables=[self._figures.table()],
            seconds=self._seconds,
        )

    def _totals(self) -> dict[str, Cell]:
        calls, for_lists = self._figures.calls, self._figures.calls_for_lists
        return {
            "submitted meanwhile": self._steady.came,
            "walks": self._figures.walks,
            "calls": calls,
            "listed a call": round(self._figures.listed / max(1, calls), 1),
            "queries a call for a list": "not measured"
            if self._queries is None or not for_lists
            else round(self._queries / for_lists, 2),
            "tokens refused": self.proof.tokens.total(),
        }
