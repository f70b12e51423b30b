"""When a pass over a queue stops, and which messages it leaves visible."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
from structlog.testing import capture_logs

from consumer.jobs.queue_reader import open_queue_reader
from core.aws.sqs import SqsQueue
from core.errors import DependencyUnavailable
from harness.virtual_time import run_virtually

HOURS_S = 3_600.0
LATER = "9999999999999"
"""SentTimestamp of a message that arrives after the start of the pass, in ms since the epoch."""


@dataclass(slots=True)
class Sqs:
    """A queue with visibility timeouts in the loop's time, and at most `max_in_flight` messages in flight."""

    messages: int
    max_in_flight: int = 120_000
    sent: dict[str, str] = field(default_factory=dict)
    hidden_until: dict[str, float] = field(default_factory=dict)
    refused: set[str] = field(default_factory=set)
    """Messages whose delete and release fail."""
    receives: int = 0
    on_receive: Callable[["Sqs"], None] = lambda _: None

    def __post_init__(self) -> None:
        for number in range(self.messages):
            self.put(f"message {number}", sent="0")

    def put(self, name: str, *, sent: str) -> None:
        self.sent[name], self.hidden_until[name] = sent, 0.0

    @property
    def visible(self) -> list[str]:
        now = asyncio.get_running_loop().time()
        return [name for name, until in self.hidden_until.items() if until <= now]

    async def invoke(self, operation: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        match operation:
            case "ReceiveMessage":
                return await self._receive(parameters)
            case "DeleteMessageBatch":
                return self._delete(parameters["Entries"])
            case "ChangeMessageVisibilityBatch":
                return self._change_visibility(parameters["Entries"])
        assert operation == "GetQueueAttributes"
        return {"Attributes": {"ApproximateNumberOfMessages": str(len(self.visible))}}

    async def _receive(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        self.receives += 1
        self.on_receive(self)
        await asyncio.sleep(0.01)
        visible = self.visible
        room = self.max_in_flight - (len(self.sent) - len(visible))
        taken = visible[: max(0, min(parameters["MaxNumberOfMessages"], room))]
        if not taken:
            await asyncio.sleep(parameters["WaitTimeSeconds"])
            return {}
        until = asyncio.get_running_loop().time() + parameters["VisibilityTimeout"]
        messages = []
        for name in taken:
            # SQS guarantees no order. Here, messages that were received before come first.
            self.hidden_until[name] = until
            messages.append(
                {
                    "MessageId": name,
                    "Body": name,
                    "ReceiptHandle": name,
                    "Attributes": {
                        "SentTimestamp": self.sent[name],
                        "ApproximateReceiveCount": "1",
                    },
                }
            )
        return {"Messages": messages}

    def _delete(self, entries: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        return self._each(entries, self._delete_one)

    def _delete_one(self, name: str) -> None:
        del self.sent[name], self.hidden_until[name]

    def _change_visibility(self, entries: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        assert 0 < len(entries) <= 10
        assert all(entry["VisibilityTimeout"] == 0 for entry in entries)
        return self._each(entries, lambda name: self.hidden_until.update({name: 0.0}))

    def _each(
        self, entries: Sequence[Mapping[str, Any]], act: Callable[[str], None]
    ) -> dict[str, Any]:
        answer: dict[str, Any] = {"Successful": [], "Failed": []}
        for entry in entries:
            if entry["ReceiptHandle"] in self.refused:
                failed = {"Id": entry["Id"], "Code": "InternalError", "SenderFault": False}
                answer["Failed"].append(failed)
            else:
                act(entry["ReceiptHandle"])
                answer["Successful"].append({"Id": entry["Id"]})
        return answer


@dataclass(slots=True)
class Pass:
    """Messages that one pass read, and messages that are visible afterwards."""

    seen: list[str]
    visible: list[str]
    not_received: int


async def read_through(sqs: Sqs, *, batch_s: float = 0.0, keep_every: int = 1) -> Pass:
    """Read with `batch_s` seconds of work per batch. Keep one of `keep_every` messages and delete the others."""
    seen: list[str] = []
    async with open_queue_reader(SqsQueue(cast("Any", sqs), "the queue")) as reader:
        async for messages in reader.batches():
            await asyncio.sleep(batch_s)
            done = [
                message
                for number, message in enumerate(messages, start=len(seen))
                if keep_every == 0 or number % keep_every
            ]
            seen += [message.body for message in messages]
            await reader.delete(done)
    return Pass(seen, sqs.visible, reader.not_received)


@pytest.mark.parametrize("keep_every", [0, 1, 3])
def test_a_pass_of_hours_reads_each_message_once(keep_every: int) -> None:
    """Messages that it keeps become visible again and again. It neither stops early nor reads them twice."""
    sqs = Sqs(1_000)
    ended = run_virtually(read_through(sqs, batch_s=2 * HOURS_S / 100, keep_every=keep_every))
    assert sorted(ended.seen) == sorted(f"message {number}" for number in range(1_000))
    assert len(ended.visible) == (len(range(0, 1_000, keep_every)) if keep_every else 0)


def test_messages_that_arrive_during_a_pass_do_not_extend_it() -> None:
    """Requests that are retried and fail at once write messages faster than the pass reads them."""
    sqs = Sqs(100)
    numbers = iter(range(10_000_000))

    def arrive(queue: Sqs) -> None:
        for _ in range(20):
            queue.put(f"late {next(numbers)}", sent=LATER)

    sqs.on_receive = arrive
    ended = run_virtually(read_through(sqs, keep_every=0))
    assert sorted(ended.seen) == sorted(f"message {number}" for number in range(100))
    # The next pass receives all of them.
    assert len(ended.visible) == len(sqs.sent)


def test_messages_that_sqs_does_not_deliver_are_counted() -> None:
    """At its limit of messages in flight, SQS answers a receive with nothing although there are more."""
    ended = run_virtually(read_through(Sqs(500, max_in_flight=200)))
    assert len(ended.seen) == 200
    assert ended.not_received == 300
    assert len(ended.visible) == 500


def test_an_empty_receive_does_not_stop_a_pass_if_messages_are_visible() -> None:
    """A receive asks a sample of the servers of SQS, which may have none of the messages."""
    sqs = Sqs(30)

    def mostly_empty(queue: Sqs) -> None:
        queue.max_in_flight = 0 if queue.receives % 4 else 120_000

    sqs.on_receive = mostly_empty
    assert len(run_virtually(read_through(sqs)).seen) == 30


def test_an_interrupted_pass_releases_its_messages() -> None:
    """The next pass receives all messages that this one did not delete."""
    sqs = Sqs(40)

    async def interrupted() -> None:
        async with open_queue_reader(SqsQueue(cast("Any", sqs), "the queue")) as reader:
            async for messages in reader.batches():
                await reader.delete(messages[:1])
                raise RuntimeError("broken")

    async def visible_afterwards() -> int:
        with pytest.raises(RuntimeError, match="broken"):
            await interrupted()
        return len(sqs.visible)

    assert run_virtually(visible_afterwards()) == 39


def test_a_message_that_is_not_released_is_logged() -> None:
    """SQS answers 200 although it refused one of ten: the next pass does not receive that one at once."""
    sqs = Sqs(10, refused={"message 3"})
    with capture_logs() as logs:
        ended = run_virtually(read_through(sqs))
    assert len(ended.visible) == 9
    assert [(log["log_level"], log["count"]) for log in logs] == [("warning", 1)]


def test_a_message_that_is_not_deleted_stays_held() -> None:
    """The pass ends with an error, and the message is released with the others."""
    sqs = Sqs(10, refused={"message 3"})

    async def scenario() -> list[str]:
        with pytest.raises(DependencyUnavailable, match="InternalError"):
            await read_through(sqs, keep_every=0)
        sqs.refused.clear()
        return list(sqs.sent)

    with capture_logs() as logs:
        assert run_virtually(scenario()) == ["message 3"]
    assert [log["count"] for log in logs] == [1]
