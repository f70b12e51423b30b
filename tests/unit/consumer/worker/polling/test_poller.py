"""The poller: when a lane is polled without a free slot, and which of the received messages run, wait or move."""

import asyncio
import uuid
from collections import Counter, deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import orjson

from consumer.worker.polling.poller import Poller
from consumer.worker.receive_queue import ReceiveQueue
from consumer.worker.received_message import ReceivedMessage
from consumer.worker.runner import MessageRunner
from core.aws.sqs import SqsQueue
from core.errors import DependencyUnavailable
from core.model.message import ImageMessage, Lane
from harness.virtual_time import run_virtually

SLOTS = 8
RECEIVE_WAIT_S = 5


class Sqs:
    """Two queues whose polls return what is there, after RECEIVE_WAIT_S if there is nothing."""

    def __init__(self) -> None:
        self.queues: dict[str, deque[str]] = {lane: deque() for lane in Lane}
        self.polls: list[tuple[float, str, int]] = []
        """The time, queue and size of each poll."""
        self.moved: list[tuple[str, int]] = []
        """The queue and the delay of each message that was sent again."""

    async def invoke(self, operation: str, members: Mapping[str, Any]) -> Mapping[str, Any]:
        name = members["QueueUrl"]
        if operation == "ReceiveMessage":
            return {"Messages": await self._receive(name, members["MaxNumberOfMessages"])}
        entries = members["Entries"]
        if operation == "SendMessageBatch":
            for entry in entries:
                self.moved.append((name, entry.get("DelaySeconds", 0)))
                self.queues[name].append(entry["MessageBody"])
        return {"Successful": [{"Id": entry["Id"]} for entry in entries]}

    async def _receive(self, name: str, count: int) -> list[dict[str, Any]]:
        self.polls.append((asyncio.get_running_loop().time(), name, count))
        queue = self.queues[name]
        await asyncio.sleep(0 if queue else RECEIVE_WAIT_S)
        return [_received(queue.popleft()) for _ in range(min(count, len(queue)))]


def _received(body: str) -> dict[str, Any]:
    return {
        "MessageId": "1",
        "ReceiptHandle": str(uuid.uuid4()),
        "Body": body,
        "Attributes": {"ApproximateReceiveCount": "1", "SentTimestamp": "1"},
    }


@dataclass
class Handler:
    """The work on a message lasts until `released`. In an outage it fails after `fails_after` seconds."""

    queue: ReceiveQueue
    outage: bool = False
    fails_after: float = 0
    running: Counter[str] = field(default_factory=Counter)
    """Messages at work, by customer."""
    most: int = 0
    kept_alive: int = 0
    released: asyncio.Event = field(default_factory=asyncio.Event)

    async def handle(self, message: ReceivedMessage) -> None:
        customer = message.message.customer_id
        self.running[customer] += 1
        self.most = max(self.most, self.running.total())
        try:
            if self.outage:
                await asyncio.sleep(self.fails_after)
                raise DependencyUnavailable("down")
            await self.released.wait()
            await self.queue.ack(message)
        finally:
            self.running[customer] -= 1

    async def keep_alive(self, _message: ReceivedMessage) -> None:
        self.kept_alive += 1


@dataclass
class Worker:
    sqs: Sqs
    handler: Handler
    runner: MessageRunner

    def submit(self, customer: str, count: int, lane: Lane = Lane.INTERACTIVE) -> None:
        for _ in range(count):
            message = ImageMessage(str(uuid.uuid4()), customer, "https://a.example/1", revision=1)
            self.sqs.queues[lane].append(message.encode())


@asynccontextmanager
async def worker(*submits: tuple[str, int, Lane], outage: bool = False) -> AsyncIterator[Worker]:
    """Run a poller on queues that have these messages."""
    sqs = Sqs()
    queue = ReceiveQueue(*(SqsQueue(cast("Any", sqs), lane) for lane in Lane))
    running = Worker(sqs, Handler(queue, outage), MessageRunner(queue))
    for customer, count, lane in submits:
        running.submit(customer, count, lane)
    poller = Poller(
        queue,
        cast("Any", running.handler),
        running.runner,
        concurrency=SLOTS,
        receive_wait=RECEIVE_WAIT_S,
        drain_grace=1,
    )
    polling = asyncio.create_task(poller.run())
    yield running
    poller.stop()
    await polling


def test_quick_work_is_not_polled_without_slots() -> None:
    """While slots become free within a quarter of a second, no message is received only to be sent again."""

    async def run() -> None:
        async with worker(("a", 200, Lane.INTERACTIVE)) as running:
            for _ in range(60):
                await asyncio.sleep(0.2)
                running.handler.released.set()
                await asyncio.sleep(0)
                running.handler.released.clear()
            assert running.sqs.moved == []
            assert not running.sqs.queues[Lane.INTERACTIVE]

    run_virtually(run())


def test_a_newcomer_runs_and_the_rest_moves_to_bulk() -> None:
    """Its message is behind many of a customer that has all slots. Those are touched before they are sent again."""

    async def run() -> None:
        submits = ("a", 40, Lane.INTERACTIVE), ("b", 1, Lane.INTERACTIVE)
        async with worker(*submits) as running:
            await asyncio.sleep(2)
            assert running.handler.running == {"a": SLOTS, "b": 1}
            moved = running.sqs.moved
            assert moved[: 40 - SLOTS] == [(Lane.BULK, 0)] * (40 - SLOTS)
            # In bulk they are delayed.
            assert {lane for lane, _ in moved} == {Lane.BULK}
            assert all(7 <= delay <= 15 for _, delay in moved[40 - SLOTS :])
            assert running.handler.kept_alive == len(moved)

    run_virtually(run())


def test_bulk_is_searched_once_a_second() -> None:
    """Its messages come back, so more would be received in vain."""

    async def run() -> None:
        async with worker(("a", 100, Lane.BULK)) as running:
            await asyncio.sleep(20)
            full = [time for time, lane, _ in running.sqs.polls if lane == Lane.BULK and time > 1]
            assert 18 <= len(full) <= 20
            assert running.handler.running == {"a": 6}

    run_virtually(run())


def test_a_message_below_its_share_waits_for_a_slot() -> None:
    """The reserve is used up. It runs when a slot is free, and is not sent again."""

    async def run() -> None:
        submits = ("a", SLOTS), ("b", 1), ("c", 1), ("d", 1)
        async with worker(*((*each, Lane.INTERACTIVE) for each in submits)) as running:
            await asyncio.sleep(1)
            assert running.handler.running == {"a": SLOTS, "b": 1, "c": 1}
            running.handler.released.set()
            await asyncio.sleep(0)
            running.handler.released.clear()
            await asyncio.sleep(1)
            assert running.handler.running["d"] == 1
            assert running.sqs.moved == []

    run_virtually(run())


def test_an_outage_ends_with_one_message() -> None:
    """One message at a time is tried, of any lane, however long that takes. Afterwards each lane begins with one."""

    async def run() -> None:
        submits = ("a", 20, Lane.INTERACTIVE), ("b", 20, Lane.BULK)
        async with worker(*submits, outage=True) as running:
            handler = running.handler
            await asyncio.sleep(1)
            assert running.runner.outage
            handler.most, handler.fails_after = 0, 30
            before = len(running.sqs.polls)
            await asyncio.sleep(300)
            assert handler.most == 1
            trials = running.sqs.polls[before:]
            assert {count for _, _, count in trials} == {1}
            handler.outage = False
            handler.released.set()
            before = len(running.sqs.polls)
            await asyncio.sleep(60)
            assert not running.runner.outage
            assert not any(running.sqs.queues.values())
            after = running.sqs.polls[before:]
            assert [next(count for _, name, count in after if name == lane) for lane in Lane] == [
                1,
                1,
            ]
            assert max(count for _, _, count in after) > 1

    run_virtually(run())


def test_a_stop_requeues_what_does_not_end() -> None:
    """Each message goes back to its lane."""

    async def run() -> None:
        submits = ("a", 2, Lane.INTERACTIVE), ("b", 2, Lane.BULK)
        async with worker(*submits) as running:
            await asyncio.sleep(1)
        customers = {
            lane: {orjson.loads(body)["customer_id"] for body in queue}
            for lane, queue in running.sqs.queues.items()
        }
        assert customers == {Lane.INTERACTIVE: {"a"}, Lane.BULK: {"b"}}
        assert Counter(lane for lane, _ in running.sqs.moved) == dict.fromkeys(Lane, 2)

    run_virtually(run())
