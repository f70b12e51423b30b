"""Benchmark of searches among a million images in OpenSearch, directly and through SearchImages of a server.

The index is built as `reindex` builds it. Four callers search concurrently, each waiting for its response. The server
reads the found rows from the null AWS, whose rows all belong to the largest customer; its calls therefore search only
for that customer.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import grpc

from core.errors import SearchUnavailable
from core.search.document import SearchDocument
from core.search.engine import Rebuild, SearchReader, WriteStatus, open_reader, open_writer
from core.search.query import SearchResult
from core.search.settings import SearchSettings
from imageservice.v1 import image_service_pb2 as pb
from imageservice.v1 import image_service_pb2_grpc
from loadtest.bench import thresholds
from loadtest.bench.benchmark import NULL, Benchmark, Figure, Trial, percentile
from loadtest.bench.search.corpus import BIG_CUSTOMER, document, ids_of_requests
from loadtest.bench.search.queries import BY_CALL, KINDS, SearchCase, search_cases, to_request
from loadtest.bench.system.backend import Backend, NullControl, backend
from loadtest.bench.system.process import BenchFailed
from loadtest.bench.system.services import search_engine
from loadtest.bench.system.stages import server_stage
from loadtest.bench.thresholds import Threshold

DOCUMENTS, QUICK_DOCUMENTS = 1_000_000, 20_000
QUERIES, QUICK_QUERIES = 300, 50
"""Per kind and round."""
CALLERS = 4
PAGE = 20
HEAP = "4g"
INDEX = "imageservice-bench"
BATCH = 2_000
WRITERS = 2
MAX_ATTEMPTS = 10
RETRY_S = 1.0

_TIMEOUT_S = 60
"""High, so that a slow response is measured and does not count as a failed engine."""
_MS = 1_000
_WARM_UP = -1

Search = Callable[[SearchCase], Awaitable[object]]
Times = tuple[float, ...]
"""Milliseconds, sorted."""


@dataclass(frozen=True, slots=True)
class Scale:
    """The number of documents, and of queries per kind and round."""

    documents: int
    queries: int


async def _run(trial: Trial) -> list[Figure]:
    scale = Scale(QUICK_DOCUMENTS, QUICK_QUERIES) if trial.quick else Scale(DOCUMENTS, QUERIES)
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        url, aws = await enter(search_engine(HEAP)), await enter(backend(trial))
        rate = await build(_settings(url), scale.documents)
        reader = open_reader(_settings(url, search_timeout_s=_TIMEOUT_S))
        stack.push_async_callback(reader.close)
        direct = await _rounds(trial, scale, KINDS, lambda case: _search(reader, case))
        stub = await enter(_server(aws, url))
        await _prepare_rows(NullControl(aws.endpoint), reader, trial, scale)
        by_call = await _rounds(trial, scale, BY_CALL, lambda case: _call(stub, case), BIG_CUSTOMER)
    return [
        *_figures("", direct, thresholds.SEARCH_P99),
        *_figures("SearchImages of the largest customer: ", by_call, thresholds.SEARCH_P99),
        Figure("documents indexed per second, without searches", "1/s", (rate,)),
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
        server_stage(searching) as server,
        grpc.aio.insecure_channel(server.address) as channel,
    ):
        yield image_service_pb2_grpc.ImageServiceStub(channel)


async def _search(reader: SearchReader, case: SearchCase) -> SearchResult:
    return await reader.search(case.query, limit=PAGE, after=case.after, facets=case.facets)


async def _call(
    stub: "image_service_pb2_grpc.ImageServiceAsyncStub", case: SearchCase
) -> pb.SearchImagesResponse:
    """Call SearchImages. Raises BenchFailed if images are missing from the page."""
    answer: pb.SearchImagesResponse = await stub.SearchImages(to_request(case, PAGE))
    if len(answer.images) != min(PAGE, answer.total):
        raise BenchFailed(f"{len(answer.images)} images of {answer.total} in a page of {PAGE}")
    return answer


async def _rounds(
    trial: Trial, scale: Scale, kinds: Sequence[str], search: Search, customer: str | None = None
) -> dict[str, list[Times]]:
    """Run every kind in each round, after one warm-up round."""
    measured: dict[str, list[Times]] = {kind: [] for kind in kinds}
    for number in range(_WARM_UP, trial.rounds):
        for kind in kinds:
            drawn = search_cases(
                kind, scale.documents, scale.queries, seed=number, customer=customer
            )
            times = await _timed(drawn, search)
            if number != _WARM_UP:
                measured[kind].append(times)
    return measured


async def _timed(drawn: Sequence[SearchCase], search: Search) -> Times:
    waiting, times = iter(drawn), list[float]()

    async def caller() -> None:
        for case in waiting:
            began = time.perf_counter()
            await search(case)
            times.append((time.perf_counter() - began) * _MS)

    async with asyncio.TaskGroup() as group:
        for _ in range(CALLERS):
            group.create_task(caller())
    return tuple(sorted(times))


async def _prepare_rows(
    null: NullControl, reader: SearchReader, trial: Trial, scale: Scale
) -> None:
    """Complete the rows of all images that the server will find."""
    requests = await asyncio.to_thread(ids_of_requests, scale.documents)
    drawn = {
        case
        for number in range(_WARM_UP, trial.rounds)
        for kind in BY_CALL
        for case in search_cases(
            kind, scale.documents, scale.queries, seed=number, customer=BIG_CUSTOMER
        )
    }
    found: set[str] = set()

    async def collect(case: SearchCase) -> None:
        found.update(hit.image_id for hit in (await _search(reader, case)).hits)

    await _timed(tuple(drawn), collect)
    await null.complete(requests[image_id] for image_id in found)


def _figures(prefix: str, measured: dict[str, list[Times]], threshold: Threshold) -> list[Figure]:
    figures = []
    for kind, rounds in measured.items():
        slow = tuple(percentile(each, 0.99) for each in rounds)
        usual = tuple(percentile(each, 0.5) for each in rounds)
        figures.append(Figure(f"{prefix}{kind}, p99", "ms", slow, threshold))
        figures.append(Figure(f"{prefix}{kind}, p50", "ms", usual))
    return figures


async def build(settings: SearchSettings, total: int) -> float:
    """Build the index as `reindex` does and return documents per second. Raises BenchFailed if one is rejected."""
    writer = open_writer(settings)
    try:
        await writer.prepare()
        began = time.perf_counter()
        async with writer.rebuild() as rebuild:
            starts = iter(range(0, total, BATCH))
            async with asyncio.TaskGroup() as group:
                for _ in range(WRITERS):
                    group.create_task(_write_batches(rebuild, starts, total))
            await rebuild.finish()
        seconds = time.perf_counter() - began
        await writer.refresh()
    finally:
        await writer.close()
    return total / seconds


def _documents(numbers: range, total: int) -> list[SearchDocument]:
    return [document(each, total) for each in numbers]


async def _write_batches(rebuild: Rebuild, starts: Iterator[int], total: int) -> None:
    for start in starts:
        numbers = range(start, min(start + BATCH, total))
        documents = await asyncio.to_thread(_documents, numbers, total)
        await _write_all(rebuild, documents)


async def _write_all(rebuild: Rebuild, documents: Sequence[SearchDocument]) -> None:
    """Write the documents, and retry those that the engine could not take."""
    for _ in range(MAX_ATTEMPTS):
        documents = await _rejected(rebuild, documents)
        if not documents:
            return
        await asyncio.sleep(RETRY_S)
    raise BenchFailed(f"the engine did not accept {len(documents)} documents")


async def _rejected(rebuild: Rebuild, documents: Sequence[SearchDocument]) -> list[SearchDocument]:
    """Write the documents and return those to retry."""
    try:
        answers = zip(documents, await rebuild.write(documents), strict=True)
    except SearchUnavailable:
        return list(documents)
    left = []
    for each, written in answers:
        if written.status is WriteStatus.UNAVAILABLE:
            left.append(each)
        elif written.status not in {WriteStatus.INDEXED, WriteStatus.STALE}:
            raise BenchFailed(f"a document is {written.status}: {written.reason}")
    return left


SEARCH = Benchmark("search", "Search among 1,000,000 images in OpenSearch", (NULL,), _run)
