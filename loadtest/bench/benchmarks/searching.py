"""Benchmark of searches among a million images in a real OpenSearch: by the port, and by a server's SearchImages.

The index is built as a reindex builds it. Four callers ask at a time, each waiting for its answer. The server reads
what was found from the null AWS, whose rows are one customer's; so it is asked for that customer's alone, the largest.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import grpc

from core.search.engine import SearchReader, open_reader
from core.search.query import Found
from core.search.settings import SearchSettings
from imageservice.v1 import image_service_pb2 as pb
from imageservice.v1 import image_service_pb2_grpc
from loadtest.bench import goals
from loadtest.bench.benchmark import NULL, Benchmark, Figure, Trial
from loadtest.bench.benchmarks.submitting import server
from loadtest.bench.goal import Goal
from loadtest.bench.search.building import build
from loadtest.bench.search.calls import BY_CALL, call_of
from loadtest.bench.search.documents import BIG_CUSTOMER, ids_of_requests
from loadtest.bench.search.questions import KINDS, Question, questions
from loadtest.bench.system.backend import Backend, NullControl, backend
from loadtest.bench.system.process import BenchFailed
from loadtest.bench.system.search_engine import search_engine

DOCUMENTS, QUICK_DOCUMENTS = 1_000_000, 20_000
QUESTIONS, QUICK_QUESTIONS = 300, 50
"""Of a kind, in a round."""
CALLERS = 4
PAGE = 20
HEAP = "4g"
INDEX = "imageservice-bench"

_TIMEOUT_S = 60
"""So that a slow answer is measured, and not taken for a dead engine."""
_MS = 1_000
_WARM_UP = -1

Ask = Callable[[Question], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Times:
    """Milliseconds, sorted."""

    of_calls: tuple[float, ...]

    def percentile(self, share: float) -> float:
        return self.of_calls[int(share * (len(self.of_calls) - 1))]


@dataclass(frozen=True, slots=True)
class Scale:
    """How many documents there are, and how many questions of a kind are asked in a round."""

    documents: int
    questions: int


async def _run(trial: Trial) -> list[Figure]:
    scale = Scale(QUICK_DOCUMENTS, QUICK_QUESTIONS) if trial.quick else Scale(DOCUMENTS, QUESTIONS)
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        url, aws = await enter(search_engine(HEAP)), await enter(backend(trial))
        rate = await build(_settings(url), scale.documents)
        reader = open_reader(_settings(url, search_timeout_s=_TIMEOUT_S))
        stack.push_async_callback(reader.close)
        by_port = await _rounds(trial, scale, KINDS, lambda asked: _search(reader, asked))
        stub = await enter(_server(aws, url))
        await _know(NullControl(aws.endpoint), reader, trial, scale)
        by_call = await _rounds(
            trial, scale, BY_CALL, lambda asked: _call(stub, asked), BIG_CUSTOMER
        )
    return [
        *_figures("", by_port, goals.SEARCH_P99),
        *_figures("SearchImages of the largest customer: ", by_call, goals.SEARCH_P99),
        Figure("documents indexed a second, while nobody searches", "1/s", (rate,)),
    ]


def _settings(url: str, **others: object) -> SearchSettings:
    return SearchSettings.model_validate({"search_url": url, "search_index": INDEX, **others})


@asynccontextmanager
async def _server(
    aws: Backend, url: str
) -> "AsyncIterator[image_service_pb2_grpc.ImageServiceAsyncStub]":
    searching = aws.with_settings(
        SEARCH_URL=url, SEARCH_INDEX=INDEX, SEARCH_TIMEOUT_S=str(_TIMEOUT_S)
    )
    async with (
        server("server", searching) as target,
        grpc.aio.insecure_channel(target.address) as channel,
    ):
        yield image_service_pb2_grpc.ImageServiceStub(channel)


async def _search(reader: SearchReader, asked: Question) -> Found:
    return await reader.search(asked.query, limit=PAGE, after=asked.after, facets=asked.facets)


async def _call(
    stub: "image_service_pb2_grpc.ImageServiceAsyncStub", asked: Question
) -> pb.SearchImagesResponse:
    """Raises BenchFailed where it answers without what was found."""
    answer: pb.SearchImagesResponse = await stub.SearchImages(call_of(asked, PAGE))
    if len(answer.images) != min(PAGE, answer.total):
        raise BenchFailed(f"{len(answer.images)} images of {answer.total} in a page of {PAGE}")
    return answer


async def _rounds(
    trial: Trial, scale: Scale, kinds: Sequence[str], ask: Ask, customer: str | None = None
) -> dict[str, list[Times]]:
    """Every kind in each round; a round before the first warms up."""
    measured: dict[str, list[Times]] = {kind: [] for kind in kinds}
    for number in range(_WARM_UP, trial.rounds):
        for kind in kinds:
            asked = questions(
                kind, scale.documents, scale.questions, seed=number, customer=customer
            )
            times = await _timed(asked, ask)
            if number != _WARM_UP:
                measured[kind].append(times)
    return measured


async def _timed(asked: Sequence[Question], ask: Ask) -> Times:
    waiting, times = iter(asked), list[float]()

    async def caller() -> None:
        for question in waiting:
            began = time.perf_counter()
            await ask(question)
            times.append((time.perf_counter() - began) * _MS)

    async with asyncio.TaskGroup() as group:
        for _ in range(CALLERS):
            group.create_task(caller())
    return Times(tuple(sorted(times)))


async def _know(null: NullControl, reader: SearchReader, trial: Trial, scale: Scale) -> None:
    """Let the null AWS have the rows of all that the server will find."""
    requests = await asyncio.to_thread(ids_of_requests, scale.documents)
    asked = {
        question
        for number in range(_WARM_UP, trial.rounds)
        for kind in BY_CALL
        for question in questions(
            kind, scale.documents, scale.questions, seed=number, customer=BIG_CUSTOMER
        )
    }
    found: set[str] = set()

    async def note(question: Question) -> None:
        found.update(hit.image_id for hit in (await _search(reader, question)).hits)

    await _timed(tuple(asked), note)
    await null.complete(requests[image_id] for image_id in found)


def _figures(prefix: str, measured: dict[str, list[Times]], goal: Goal) -> list[Figure]:
    figures = []
    for kind, rounds in measured.items():
        slow = tuple(each.percentile(0.99) for each in rounds)
        usual = tuple(each.percentile(0.5) for each in rounds)
        figures.append(Figure(f"{prefix}{kind}, p99", "ms", slow, goal))
        figures.append(Figure(f"{prefix}{kind}, p50", "ms", usual))
    return figures


SEARCH = Benchmark("search", "Search among 1,000,000 images in OpenSearch", (NULL,), _run)
