"""One run: submit, let some end, then walk every list of every customer while more is submitted."""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import partial

from imageservice.v1 import image_service_pb2 as pb
from imageservice.v1 import image_service_pb2_grpc as pb_grpc
from loadtest.cancellation import cancelled
from loadtest.driver.progress_bar import ProgressBar
from loadtest.million.aws_calls import calls_made
from loadtest.million.desk import ACKNOWLEDGE
from loadtest.run_report.processes import ProcessSampler
from loadtest.run_report.record import Cell, Heading, RunRecord, Verdict
from loadtest.run_report.recorder import Recorder
from loadtest.walk import lists
from loadtest.walk.calling import again
from loadtest.walk.figures import STAGES, Figures
from loadtest.walk.items import WalkItems
from loadtest.walk.lists import LARGEST_PAGE, SMALL_PAGE, USUAL_PAGE, Question, Walked, ask, walk
from loadtest.walk.looking import Looking
from loadtest.walk.proof import Known, Proof
from loadtest.walk.settings import WalkSettings
from loadtest.walk.submitting import Steady, submit_all
from loadtest.walk.tokens import refused

SAMPLE_SECONDS = 1.0
INDEX_SECONDS = 2.0
"""After which an index surely tells of what a table holds: it follows within a moment."""
ENDED_SHARE = 10
"""One of so many requests shall have ended before the first walk."""
EVERY = 10
"""One of so many customers is walked by small pages as well."""

_QUERY = "dynamodb:Query"


@dataclass(slots=True)
class Run:
    """`execute` once, then `record`, also after a cancellation."""

    settings: WalkSettings
    items: WalkItems
    stub: "pb_grpc.ImageServiceAsyncStub"
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
        self._verdict = self.proof.verdict(self.items.total, self._steady.came)

    async def _sample(self) -> None:
        while True:
            self.recorder.sample(processes=self.sampler.sample())
            await asyncio.sleep(SAMPLE_SECONDS)

    async def _until_some_ended(self) -> None:
        some = max(1, self.items.total // ENDED_SHARE)
        self.bar.begin("ended", some)
        for number in range(some):
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
        async with asyncio.TaskGroup() as group:
            for _ in range(self.settings.at_once):
                group.create_task(self._walk_customers(waiting))

    async def _walk_customers(self, waiting: Iterator[int]) -> None:
        for at in waiting:
            known = await self._known(at)
            for question in _questions(at, self.items.customer_at(at), known):
                walked = await walk(self.stub, question, self.settings.patience)
                self._figures.add(walked)
                self.proof.look_at(walked, known)
                await self._try_token(walked, at)
            self._customers += 1
            self.bar.show(self._customers, f"{self._figures.calls:,} calls")

    async def _known(self, at: int) -> Known:
        """All of one customer's requests, long enough ago for an index to tell of them."""
        customers, before = self.settings.customers, time.monotonic()
        numbers = [
            *range(at, self.items.total, customers),
            *(n for n in self._steady.acknowledged(before) if n % customers == at),
        ]
        known = await self._looking.known(numbers)
        await asyncio.sleep(INDEX_SECONDS)
        return known

    async def _try_token(self, walked: Walked, at: int) -> None:
        """A token of one customer's list, for the next customer's list of the same kind."""
        question, patience = walked.question, self.settings.patience
        token = walked.first_token
        if not token:
            short = replace(question, page_size=SMALL_PAGE).message()
            token, _ = await again(patience, partial(ask, self.stub, short))
        if not token:
            return
        other = self.items.customer_at((at + 1) % self.settings.customers)
        taken = await refused(self.stub, token, replace(question, customer=other), patience)
        self.proof.token(token, question.customer, other, refused=taken)

    @property
    def proven(self) -> bool:
        """The proof came to its end, whatever its verdict."""
        return self._verdict is not None

    def record(self, heading: Heading, why_unproven: str) -> RunRecord:
        """`why_unproven` is told where the proof was not reached."""
        far = f"The lists of {self._customers:,} of {self.settings.customers:,} customers were walked."
        unproven = Verdict(passed=False, sentences=(why_unproven, far))
        return self.recorder.finish(
            heading,
            verdict=self._verdict or unproven,
            totals=self._totals(),
            tables=[self._figures.table()],
            seconds=self._seconds,
        )

    def _totals(self) -> dict[str, Cell]:
        calls = self._figures.calls
        return {
            "submitted meanwhile": self._steady.came,
            "walks": self._figures.walks,
            "calls": calls,
            "listed a call": round(self._figures.listed / max(1, calls), 1),
            "queries a call": "not measured"
            if self._queries is None
            else round(self._queries / max(1, calls), 2),
            "tokens refused": self.proof.tokens,
        }


def _questions(at: int, customer: str, known: Known) -> Iterator[Question]:
    yield Question(lists.ALL, customer, LARGEST_PAGE)
    if at % EVERY == 0:
        yield Question(lists.ALL, customer, USUAL_PAGE)
        yield Question(lists.ALL, customer, SMALL_PAGE)
    yield from lists.spans(customer, [entry.created for entry in known.requests.values()])
    yield Question(lists.COMPLETED, customer, LARGEST_PAGE, pb.STATE_COMPLETED)
    yield Question(lists.FAILED, customer, LARGEST_PAGE, pb.STATE_FAILED)
    yield Question(lists.IMAGES, customer, LARGEST_PAGE)
