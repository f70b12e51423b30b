"""Each call about a message goes to the queue of its lane."""

import asyncio
from collections.abc import Mapping
from typing import Any, cast

import orjson

from consumer.worker.receive_queue import ReceiveQueue
from core.aws.sqs import SqsQueue
from core.model.message import ImageMessage, Lane, decode_message
from harness.virtual_time import run_virtually

TIMEOUT_S = 30


class Sqs:
    """Delivers one message per queue, and records the other calls."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str, Mapping[str, Any]]] = []
        """Operation, queue and first entry."""

    async def invoke(self, operation: str, members: Mapping[str, Any]) -> Mapping[str, Any]:
        queue = members["QueueUrl"]
        if operation == "GetQueueAttributes":
            return {"Attributes": {"VisibilityTimeout": str(TIMEOUT_S + len(queue))}}
        if operation == "ReceiveMessage":
            return {"Messages": [_message(queue)]}
        self.calls.append((operation, queue, members["Entries"][0]))
        return {"Successful": [{"Id": entry["Id"]} for entry in members["Entries"]]}

    def take_calls(self) -> list[tuple[str, str]]:
        made, self.calls = [(operation, queue) for operation, queue, _ in self.calls], []
        return made


def _message(queue: str) -> dict[str, Any]:
    name = f"00000000-0000-4000-8000-{len(queue):012}"
    message = ImageMessage(name, "acme", "https://a.example/1", revision=1)
    return {
        "MessageId": queue,
        "ReceiptHandle": queue,
        "Body": message.encode(),
        "Attributes": {"ApproximateReceiveCount": "1", "SentTimestamp": "1"},
    }


def queue_of(sqs: Sqs) -> ReceiveQueue:
    return ReceiveQueue(
        SqsQueue(cast("Any", sqs), "interactive"), SqsQueue(cast("Any", sqs), "bulk")
    )


def test_a_message_is_requeued_and_deleted_in_its_lane() -> None:
    async def run() -> None:
        sqs = Sqs()
        queue = queue_of(sqs)
        for lane in Lane:
            (message,) = await queue.receive(10, wait=0, lane=lane)
            assert message.lane is lane
            await queue.requeue(message, reason="drain")
            assert sqs.take_calls() == [
                ("SendMessageBatch", lane),
                ("DeleteMessageBatch", lane),
            ]
            (message,) = await queue.receive(10, wait=0, lane=lane)
            await queue.ack(message)
            assert sqs.take_calls() == [("DeleteMessageBatch", lane)]
        assert queue.held == ()

    run_virtually(run())


def test_a_message_without_the_time_of_its_request_gets_one_when_it_is_requeued() -> None:
    """The patience with a host is measured from it. Without it such a request would wait for ever."""

    async def run() -> None:
        sqs = Sqs()
        queue = queue_of(sqs)
        (message,) = await queue.receive(10, wait=0)
        assert message.message.pending_since == 0
        await queue.requeue(message, reason="host_refused")
        sent = decode_message(sqs.calls[0][2]["MessageBody"])
        assert sent.pending_since > 0

    run_virtually(run())


def test_a_message_moves_to_another_lane_with_its_customer_and_deferrals() -> None:
    async def run() -> None:
        sqs = Sqs()
        queue = queue_of(sqs)
        (message,) = await queue.receive(10, wait=0)
        await queue.requeue(message, reason="share", lane=Lane.BULK, deferrals=3)
        (_, target, entry), (_, source, _) = sqs.calls
        assert (target, source, entry["MessageGroupId"]) == ("bulk", "interactive", "acme")
        assert orjson.loads(entry["MessageBody"])["deferrals"] == 3

    run_virtually(run())


def test_messages_of_all_lanes_have_one_heartbeat() -> None:
    """Its period follows the shorter visibility timeout."""

    async def run() -> None:
        sqs = Sqs()
        queue = queue_of(sqs)
        timeout = await queue.visibility_timeout()
        assert timeout == TIMEOUT_S + len("bulk")
        for lane in Lane:
            await queue.receive(10, wait=0, lane=lane)
        beating = asyncio.create_task(queue.extend_visibility_forever(timeout))
        await asyncio.sleep(timeout / 3 + 1)
        beating.cancel()
        assert sorted(sqs.take_calls()) == [
            ("ChangeMessageVisibilityBatch", "bulk"),
            ("ChangeMessageVisibilityBatch", "interactive"),
        ]

    run_virtually(run())
