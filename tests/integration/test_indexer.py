"""The indexer's loop on real queues and tables, with a search engine that answers as a test wants it to."""

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
PATIENCE_S = 60
LONG_ENOUGH_S = "3"
"""For an event to be indexed on a busy machine; short, so that one that is not comes back soon."""
TWICE = "2"
"""Receives that an event may have: one that fails, and one that goes well."""


def sample(metric: Gauge | Histogram, name: str) -> float:
    """Of this metric alone: the whole registry reads files, which a test may not do on the loop."""
    (family,) = metric.collect()
    return next(each.value for each in family.samples if each.name == name)


@dataclass(frozen=True, slots=True)
class Workshop:
    """A stack of the test's own, with rows and events but without an indexer."""

    aws: RecordingAws
    stack: StackOutputs
    sqs: SQSClient
    tables: Tables

    async def completed(self, count: int) -> list[str]:
        """Images that are recorded and told of."""
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
        """An indexer in its role, which is stopped in the end."""
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
        """The request ids of as many events that the redrive policy moved."""
        found: set[str] = set()
        async with asyncio.timeout(PATIENCE_S):
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
        """Events in the queue, visible or not."""
        names: Any = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        answer = await self.sqs.get_queue_attributes(
            QueueUrl=self.stack.search_queue_url, AttributeNames=names
        )
        return sum(int(answer["Attributes"][name]) for name in names)


@asynccontextmanager
async def workshop(
    aws: RecordingAws, deploy_stack: DeployStack, sqs: SQSClient, **parameters: str
) -> AsyncIterator[Workshop]:
    stack = await deploy_stack(f"own-{uuid.uuid4().hex[:12]}", **parameters)
    hand = aws.environment("tests")
    # The variables stay set meanwhile, and the indexer's queue is not where the others may be.
    hand.pop("AWS_ENDPOINT_URL_SQS", None)
    async with tables_of(hand, stack) as tables:
        yield Workshop(aws, stack, sqs, tables)


async def test_many_events_share_a_write(
    embedded_aws: RecordingAws, deploy_stack: DeployStack, sqs: SQSClient
) -> None:
    """A backlog leaves in batches, each image once, and its events are deleted."""
    engine = ScriptedEngine(lambda documents: [INDEXED] * len(documents))
    async with workshop(embedded_aws, deploy_stack, sqs) as shop:
        ids = await shop.completed(300)
        async with shop.indexing(engine):
            await engine.until(lambda: len(engine.indexed) == len(ids))
        assert sorted(each for batch in engine.took for each in batch) == sorted(ids)
        assert len(engine.took) <= 30
        assert max(map(len, engine.took)) <= 200
        assert await shop.left() == 0


async def test_a_refused_image_ends_in_the_dlq_and_costs_its_neighbours_nothing(
    embedded_aws: RecordingAws, deploy_stack: DeployStack, sqs: SQSClient
) -> None:
    """Those beside it are indexed at once; what is refused again and again is there for a person to look at."""
    async with workshop(
        embedded_aws,
        deploy_stack,
        sqs,
        VisibilityTimeoutSeconds=LONG_ENOUGH_S,
        SearchMaxReceiveCount="2",
    ) as shop:
        ids = await shop.completed(20)
        refused = set(ids[::7])

        def judge(documents: Sequence[SearchDocument]) -> list[WriteResult]:
            no = WriteResult(WriteStatus.REJECTED, "it has no such field")
            return [no if each.request_id in refused else INDEXED for each in documents]

        async with shop.indexing(ScriptedEngine(judge)):
            assert await shop.dlq_images(len(refused)) == refused


async def test_a_fault_that_nobody_foresaw_is_met_alone(
    embedded_aws: RecordingAws, deploy_stack: DeployStack, sqs: SQSClient
) -> None:
    """A document at which the client breaks keeps no other from the index, nor the indexer from its work."""
    async with workshop(embedded_aws, deploy_stack, sqs) as shop:
        ids = await shop.completed(20)

        def judge(documents: Sequence[SearchDocument]) -> list[WriteResult]:
            if ids[3] in {each.request_id for each in documents}:
                raise TypeError("not serialisable")
            return [INDEXED] * len(documents)

        engine = ScriptedEngine(judge)
        # Not written out: to find the lines of a traceback reads files, which a test may not do on the loop.
        with capture_logs() as logs:
            async with shop.indexing(engine):
                await engine.until(lambda: engine.indexed == set(ids) - {ids[3]})
                later = await shop.completed(3)
                await engine.until(lambda: engine.indexed >= set(later))
        assert [each["request_id"] for each in logs if each["event"] == "event not indexed"] == [
            ids[3]
        ]
        assert await shop.left() == 1


async def test_an_engine_that_takes_nothing_costs_the_events_one_receive(
    embedded_aws: RecordingAws, deploy_stack: DeployStack, sqs: SQSClient
) -> None:
    """It is tried with one image, which is not received for that. All the time the indexer says that it waits."""
    full = True
    offered: list[int] = []
    told: list[float] = []

    def judge(documents: Sequence[SearchDocument]) -> list[WriteResult]:
        offered.append(len(documents))
        told.append(sample(WAITING, "indexer_waiting"))
        no = WriteResult(WriteStatus.UNAVAILABLE, "the disk is full")
        return [no if full else INDEXED] * len(documents)

    engine = ScriptedEngine(judge)
    async with workshop(embedded_aws, deploy_stack, sqs, SearchMaxReceiveCount=TWICE) as shop:
        ids = await shop.completed(3)
        async with shop.indexing(engine):
            await engine.until(lambda: len(offered) == 5)
            full = False
            await engine.until(lambda: engine.indexed == set(ids))
            assert sample(WAITING, "indexer_waiting") == 0
        assert offered[1:6] == [1] * 5
        assert told[:6] == [0, *[1] * 5]
        assert await shop.left() == 0


async def test_what_alone_is_not_taken_keeps_no_other_from_the_index(
    embedded_aws: RecordingAws, deploy_stack: DeployStack, sqs: SQSClient
) -> None:
    """An engine that takes another image is well: this one is left to the redrive policy, and nothing waits for it."""
    async with workshop(
        embedded_aws,
        deploy_stack,
        sqs,
        VisibilityTimeoutSeconds=LONG_ENOUGH_S,
        SearchMaxReceiveCount=TWICE,
    ) as shop:
        good = await shop.completed(1)

        def judge(documents: Sequence[SearchDocument]) -> list[WriteResult]:
            no = WriteResult(WriteStatus.UNAVAILABLE, "null_pointer_exception")
            return [INDEXED if each.request_id in good else no for each in documents]

        engine = ScriptedEngine(judge)
        async with shop.indexing(engine):
            await engine.until(lambda: engine.indexed == set(good))
            (odd,) = await shop.completed(1)
            assert await shop.dlq_images(1) == {odd}
            later = await shop.completed(1)
            good += later
            await engine.until(lambda: engine.indexed >= set(later))


async def test_a_delay_is_measured_once_for_an_image(
    embedded_aws: RecordingAws, deploy_stack: DeployStack, sqs: SQSClient
) -> None:
    """What is received again was late for a reason of its own, which says nothing of how far search is behind."""
    measured = "indexer_lag_seconds_count"
    refused = True

    def judge(documents: Sequence[SearchDocument]) -> list[WriteResult]:
        no = WriteResult(WriteStatus.UNAVAILABLE, "the disk is full")
        return [no if refused else INDEXED] * len(documents)

    engine = ScriptedEngine(judge)
    async with workshop(embedded_aws, deploy_stack, sqs) as shop:
        again = await shop.completed(2)
        before = sample(LAG_SECONDS, measured)
        async with shop.indexing(engine):
            await engine.until(lambda: sample(WAITING, "indexer_waiting") == 1)
            refused = False
            await engine.until(lambda: {*again} in map(set, engine.took))
            first = await shop.completed(3)
            await engine.until(lambda: engine.indexed >= set(first))
        assert sample(LAG_SECONDS, measured) == before + len(first)


async def test_what_is_not_taken_now_is_offered_again(
    embedded_aws: RecordingAws, deploy_stack: DeployStack, sqs: SQSClient
) -> None:
    """An image that a busy engine turns away comes back when its visibility lapses."""
    turned_away: set[str] = set()

    def judge(documents: Sequence[SearchDocument]) -> list[WriteResult]:
        (first, *_) = documents
        if len(documents) < 2 or turned_away:
            return [INDEXED] * len(documents)
        turned_away.add(first.request_id)
        return [WriteResult(WriteStatus.UNAVAILABLE, "too busy"), *[INDEXED] * (len(documents) - 1)]

    engine = ScriptedEngine(judge)
    async with workshop(embedded_aws, deploy_stack, sqs, VisibilityTimeoutSeconds="2") as shop:
        ids = await shop.completed(20)
        async with shop.indexing(engine):
            await engine.until(lambda: engine.indexed == set(ids))
        assert turned_away
        assert engine.took[-1] == list(turned_away)
        assert await shop.left() == 0
