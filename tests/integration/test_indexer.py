"""The indexer with emulated queues and tables, and a scripted search engine."""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from prometheus_client import Gauge, Histogram
from structlog.testing import capture_logs
from types_aiobotocore_sqs import SQSClient

from cli.local.stack import StackOutputs
from consumer.indexer.event_queue import EventQueue
from consumer.indexer.indexer import Indexer
from consumer.indexer.metrics import LAG_SECONDS, WAITING
from core.aws.sqs import SqsQueue
from core.dynamodb.tables import Tables
from core.search.document import SearchDocument
from core.search.engine import WriteResult, WriteStatus
from harness.aws import DeployStack, RecordingAws
from harness.lists import insert
from harness.outcomes import complete
from harness.scripted_engine import ScriptedEngine
from harness.tables import aws_with, tables_of

INDEXED = WriteResult(WriteStatus.INDEXED)
HANG_TIMEOUT_S = 60
LONG_ENOUGH_S = "3"
"""Visibility timeout: long enough to index an event on a busy machine, short enough for a soon second receive."""
TWICE = "2"
"""Receives of an event before the redrive policy moves it: one that fails, and one that succeeds."""


def sample(metric: Gauge | Histogram, name: str) -> float:
    """Return a sample of one metric: collecting the whole registry reads files, which would block the loop."""
    (family,) = metric.collect()
    return next(each.value for each in family.samples if each.name == name)


@dataclass(frozen=True, slots=True)
class IndexerStack:
    """A stack of its own, with rows and events, without an indexer."""

    aws: RecordingAws
    stack: StackOutputs
    sqs: SQSClient
    tables: Tables

    async def completed(self, count: int) -> list[str]:
        """Insert COMPLETED requests with images, and send their events."""
        ids = await insert(self.tables, "acme", range(count))
        await asyncio.gather(*(complete(self.tables, each) for each in ids))
        for at in range(0, count, 10):
            entries: list[Any] = [
                {"Id": each, "MessageBody": json.dumps({"requestId": each, "revision": 2})}
                for each in ids[at : at + 10]
            ]
            await self.sqs.send_message_batch(QueueUrl=self.stack.search_queue_url, Entries=entries)
        return ids

    @asynccontextmanager
    async def indexing(self, engine: ScriptedEngine) -> AsyncIterator[None]:
        """Run an indexer with its role; stop it on exit."""
        environment = self.aws.environment("indexer")
        async with aws_with(environment) as aws, tables_of(environment, self.stack) as tables:
            queue = EventQueue(SqsQueue(aws.http.sqs, self.stack.search_queue_url))
            indexer = Indexer(queue, tables, engine, receive_wait=1, drain_grace=10)
            running = asyncio.create_task(indexer.run())
            try:
                yield
            finally:
                indexer.stop()
                await running

    async def dlq_images(self, count: int) -> set[str]:
        """Return the request ids of `count` events that the redrive policy moved."""
        found: set[str] = set()
        async with asyncio.timeout(HANG_TIMEOUT_S):
            while len(found) < count:
                answer = await self.sqs.receive_message(
                    QueueUrl=self.stack.search_dlq_url, WaitTimeSeconds=1
                )
                found |= {
                    json.loads(message["Body"])["requestId"]
                    for message in answer.get("Messages", [])
                }
        return found

    async def left(self) -> int:
        """Return the number of events in the queue, visible or in flight."""
        names: Any = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        answer = await self.sqs.get_queue_attributes(
            QueueUrl=self.stack.search_queue_url, AttributeNames=names
        )
        return sum(int(answer["Attributes"][name]) for name in names)


@asynccontextmanager
async def indexer_stack(
    aws: RecordingAws, deploy_stack: DeployStack, sqs: SQSClient, **parameters: str
) -> AsyncIterator[IndexerStack]:
    stack = await deploy_stack(f"own-{uuid.uuid4().hex[:12]}", **parameters)
    environment = aws.environment("tests")
    # The variables stay set meanwhile, and the indexer's queue may have another endpoint than the other queues.
    environment.pop("AWS_ENDPOINT_URL_SQS", None)
    async with tables_of(environment, stack) as tables:
        yield IndexerStack(aws, stack, sqs, tables)


async def test_many_events_share_a_write(
    embedded_aws: RecordingAws, deploy_stack: DeployStack, sqs: SQSClient
) -> None:
    """A backlog is indexed in batches, each image once, and its events are deleted."""
    engine = ScriptedEngine(lambda documents: [INDEXED] * len(documents))
    async with indexer_stack(embedded_aws, deploy_stack, sqs) as own:
        ids = await own.completed(300)
        async with own.indexing(engine):
            await engine.until(lambda: len(engine.indexed) == len(ids))
        assert sorted(each for batch in engine.indexed_batches for each in batch) == sorted(ids)
        assert len(engine.indexed_batches) <= 30
        assert max(map(len, engine.indexed_batches)) <= 200
        assert await own.left() == 0


async def test_a_rejected_image_ends_in_the_dlq_and_does_not_affect_the_others(
    embedded_aws: RecordingAws, deploy_stack: DeployStack, sqs: SQSClient
) -> None:
    """The others are indexed at once."""
    async with indexer_stack(
        embedded_aws,
        deploy_stack,
        sqs,
        VisibilityTimeoutSeconds=LONG_ENOUGH_S,
        SearchMaxReceiveCount="2",
    ) as own:
        ids = await own.completed(20)
        refused = set(ids[::7])

        def write_results(documents: Sequence[SearchDocument]) -> list[WriteResult]:
            no = WriteResult(WriteStatus.REJECTED, "it has no such field")
            return [no if each.request_id in refused else INDEXED for each in documents]

        async with own.indexing(ScriptedEngine(write_results)):
            assert await own.dlq_images(len(refused)) == refused


async def test_an_unexpected_error_affects_one_event(
    embedded_aws: RecordingAws, deploy_stack: DeployStack, sqs: SQSClient
) -> None:
    """A document that breaks the client stops neither the other documents nor the indexer."""
    async with indexer_stack(embedded_aws, deploy_stack, sqs) as own:
        ids = await own.completed(20)

        def write_results(documents: Sequence[SearchDocument]) -> list[WriteResult]:
            if ids[3] in {each.request_id for each in documents}:
                raise TypeError("not serialisable")
            return [INDEXED] * len(documents)

        engine = ScriptedEngine(write_results)
        # Captured, because formatting a traceback reads files, which would block the loop.
        with capture_logs() as logs:
            async with own.indexing(engine):
                await engine.until(lambda: engine.indexed == set(ids) - {ids[3]})
                later = await own.completed(3)
                await engine.until(lambda: engine.indexed >= set(later))
        assert [each["request_id"] for each in logs if each["event"] == "event not indexed"] == [
            ids[3]
        ]
        assert await own.left() == 1


async def test_events_are_received_once_while_the_engine_accepts_nothing(
    embedded_aws: RecordingAws, deploy_stack: DeployStack, sqs: SQSClient
) -> None:
    """The health check tries one image without a receive, and `indexer_waiting` is 1."""
    full = True
    offered: list[int] = []
    waiting_gauge: list[float] = []

    def write_results(documents: Sequence[SearchDocument]) -> list[WriteResult]:
        offered.append(len(documents))
        waiting_gauge.append(sample(WAITING, "indexer_waiting"))
        no = WriteResult(WriteStatus.UNAVAILABLE, "the disk is full")
        return [no if full else INDEXED] * len(documents)

    engine = ScriptedEngine(write_results)
    async with indexer_stack(embedded_aws, deploy_stack, sqs, SearchMaxReceiveCount=TWICE) as own:
        ids = await own.completed(3)
        async with own.indexing(engine):
            await engine.until(lambda: len(offered) == 5)
            full = False
            await engine.until(lambda: engine.indexed == set(ids))
            assert sample(WAITING, "indexer_waiting") == 0
        assert offered[1:6] == [1] * 5
        assert waiting_gauge[:6] == [0, *[1] * 5]
        assert await own.left() == 0


async def test_an_image_that_alone_is_not_accepted_does_not_stop_the_others(
    embedded_aws: RecordingAws, deploy_stack: DeployStack, sqs: SQSClient
) -> None:
    """The engine accepts other images, so it is healthy. This one is left to the redrive policy."""
    async with indexer_stack(
        embedded_aws,
        deploy_stack,
        sqs,
        VisibilityTimeoutSeconds=LONG_ENOUGH_S,
        SearchMaxReceiveCount=TWICE,
    ) as own:
        good = await own.completed(1)

        def write_results(documents: Sequence[SearchDocument]) -> list[WriteResult]:
            no = WriteResult(WriteStatus.UNAVAILABLE, "null_pointer_exception")
            return [INDEXED if each.request_id in good else no for each in documents]

        engine = ScriptedEngine(write_results)
        async with own.indexing(engine):
            await engine.until(lambda: engine.indexed == set(good))
            (odd,) = await own.completed(1)
            assert await own.dlq_images(1) == {odd}
            later = await own.completed(1)
            good += later
            await engine.until(lambda: engine.indexed >= set(later))


async def test_the_lag_is_measured_for_first_receives_only(
    embedded_aws: RecordingAws, deploy_stack: DeployStack, sqs: SQSClient
) -> None:
    """A repeated receive is late for its own reason and says nothing about the lag of search."""
    measured = "indexer_lag_seconds_count"
    refused = True

    def write_results(documents: Sequence[SearchDocument]) -> list[WriteResult]:
        no = WriteResult(WriteStatus.UNAVAILABLE, "the disk is full")
        return [no if refused else INDEXED] * len(documents)

    engine = ScriptedEngine(write_results)
    async with indexer_stack(embedded_aws, deploy_stack, sqs) as own:
        again = await own.completed(2)
        before = sample(LAG_SECONDS, measured)
        async with own.indexing(engine):
            await engine.until(lambda: sample(WAITING, "indexer_waiting") == 1)
            refused = False
            await engine.until(lambda: {*again} in map(set, engine.indexed_batches))
            first = await own.completed(3)
            await engine.until(lambda: engine.indexed >= set(first))
        assert sample(LAG_SECONDS, measured) == before + len(first)


async def test_an_image_that_is_not_accepted_now_is_written_again(
    embedded_aws: RecordingAws, deploy_stack: DeployStack, sqs: SQSClient
) -> None:
    """Its event comes back after the visibility timeout."""
    unavailable: set[str] = set()

    def write_results(documents: Sequence[SearchDocument]) -> list[WriteResult]:
        (first, *_) = documents
        if len(documents) < 2 or unavailable:
            return [INDEXED] * len(documents)
        unavailable.add(first.request_id)
        return [WriteResult(WriteStatus.UNAVAILABLE, "too busy"), *[INDEXED] * (len(documents) - 1)]

    engine = ScriptedEngine(write_results)
    async with indexer_stack(embedded_aws, deploy_stack, sqs, VisibilityTimeoutSeconds="2") as own:
        ids = await own.completed(20)
        async with own.indexing(engine):
            await engine.until(lambda: engine.indexed == set(ids))
        assert unavailable
        assert engine.indexed_batches[-1] == list(unavailable)
        assert await own.left() == 0
