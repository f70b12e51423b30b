"""The heartbeat keeps its schedule if calls fail, and reports each message that SQS refused to extend."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from itertools import pairwise
from typing import Any, cast

import pytest
from structlog.testing import capture_logs

from consumer.metrics import HEARTBEAT_FAILURES
from consumer.worker.receive_queue import ReceiveQueue
from core.aws.sqs import SqsQueue
from core.model.message import ImageMessage
from core.model.request import FIRST_REVISION
from harness.virtual_time import run_virtually

TIMEOUT_S = 120
HELD = 11
"""Messages held: two batches."""


class Sqs:
    """Delivers HELD messages; `misbehave` is called before the visibility of the first batch is extended."""

    def __init__(
        self, misbehave: Callable[[], Awaitable[None]] | None = None, refused: int = 0
    ) -> None:
        self._misbehave = misbehave
        self._refused = refused
        self._left = [str(number) for number in range(HELD)]
        self.extended: dict[str, list[float]] = {receipt: [0.0] for receipt in self._left}

    async def invoke(self, operation: str, members: Mapping[str, Any]) -> Mapping[str, Any]:
        if operation == "ReceiveMessage":
            count = members["MaxNumberOfMessages"]
            receipts, self._left = self._left[:count], self._left[count:]
            return {"Messages": [_message(receipt) for receipt in receipts]}
        assert operation == "ChangeMessageVisibilityBatch"
        started = asyncio.get_running_loop().time()
        entries = members["Entries"]
        if self._misbehave is not None and entries[0]["ReceiptHandle"] == "0":
            await self._misbehave()
        for entry in entries[self._refused :]:
            self.extended[entry["ReceiptHandle"]].append(started)
        return {
            "Successful": [{"Id": entry["Id"]} for entry in entries[self._refused :]],
            "Failed": [
                {"Id": entry["Id"], "Code": "InternalError", "SenderFault": False}
                for entry in entries[: self._refused]
            ],
        }


def _message(receipt: str) -> dict[str, Any]:
    message = ImageMessage(
        request_id=f"00000000-0000-4000-8000-{int(receipt):012}",
        customer_id="acme",
        url="https://a.example/1",
        revision=FIRST_REVISION,
    )
    return {
        "MessageId": receipt,
        "ReceiptHandle": receipt,
        "Body": message.encode(),
        "Attributes": {"ApproximateReceiveCount": "1", "SentTimestamp": "1"},
    }


class Misbehaviour:
    """Every second call hangs for ever, or fails."""

    def __init__(self, *, hang: bool) -> None:
        self._hang = hang
        self._calls = 0

    async def __call__(self) -> None:
        self._calls += 1
        if self._calls % 2:
            if self._hang:
                await asyncio.Event().wait()
            raise OSError("sqs")


async def beat_for(sqs: Sqs, seconds: float) -> None:
    queue = ReceiveQueue(SqsQueue(cast("Any", sqs), "the queue"))
    while len(queue.held) < HELD:
        await queue.receive(10, wait=0)
    beating = asyncio.create_task(queue.extend_visibility_forever(TIMEOUT_S))
    await asyncio.sleep(seconds)
    assert not beating.done()
    beating.cancel()


@pytest.mark.parametrize("hang", [True, False])
def test_no_message_becomes_visible_if_every_second_call_fails(hang: bool) -> None:
    """The time between two extensions of a message stays below the visibility timeout."""
    sqs = Sqs(Misbehaviour(hang=hang))
    run_virtually(beat_for(sqs, 3_600))
    for moments in sqs.extended.values():
        gaps = [late - early for early, late in pairwise(moments)]
        assert max(gaps) < TIMEOUT_S
        assert len(moments) > 3_600 / TIMEOUT_S


def test_each_message_that_sqs_refuses_to_extend_is_counted_and_logged() -> None:
    """SQS answers 200 although it refused some. Other workers will receive these messages."""
    before = HEARTBEAT_FAILURES._value.get()
    with capture_logs() as logs:
        run_virtually(beat_for(Sqs(refused=3), TIMEOUT_S / 3 + 1))
    assert HEARTBEAT_FAILURES._value.get() - before == 3 + 1
    assert [(log["log_level"], log["count"]) for log in logs] == [("warning", 4)]


class SqsWithDeletes(Sqs):
    """Deletes one message while the heartbeat is on its way, and refuses to extend it afterwards."""

    def __init__(self, *, answer_delete: bool) -> None:
        super().__init__(self._delete_first, refused=1)
        self._answer_delete = answer_delete
        self.deleted = asyncio.Event()
        self.ack: Callable[[], None] = lambda: None

    async def _delete_first(self) -> None:
        self.ack()
        await self.deleted.wait()

    async def invoke(self, operation: str, members: Mapping[str, Any]) -> Mapping[str, Any]:
        if operation != "DeleteMessageBatch":
            return await super().invoke(operation, members)
        self.deleted.set()
        if not self._answer_delete:
            await asyncio.Event().wait()
        return {"Successful": [{"Id": entry["Id"]} for entry in members["Entries"]]}


@pytest.mark.parametrize("answer_delete", [True, False])
def test_a_message_that_is_deleted_meanwhile_is_no_failure(answer_delete: bool) -> None:
    """A busy worker deletes messages all the time. SQS cannot extend them, and need not."""

    async def scenario() -> None:
        sqs = SqsWithDeletes(answer_delete=answer_delete)
        queue = ReceiveQueue(SqsQueue(cast("Any", sqs), "the queue"))
        (message, *_) = await queue.receive(1, wait=0)
        acks: list[asyncio.Task[None]] = []
        sqs.ack = lambda: acks.append(asyncio.create_task(queue.ack(message)))
        beating = asyncio.create_task(queue.extend_visibility_forever(TIMEOUT_S))
        await asyncio.sleep(TIMEOUT_S / 3 + 1)
        assert acks[0].done() is answer_delete
        beating.cancel()
        acks[0].cancel()

    before = HEARTBEAT_FAILURES._value.get()
    with capture_logs() as logs:
        run_virtually(scenario())
    assert HEARTBEAT_FAILURES._value.get() == before
    assert logs == []
