"""How a pass over a dead-letter queue comes to its end, and what it leaves behind."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
from structlog.testing import capture_logs

from consumer.jobs.failed_requests_queue import dead_queue
from core.aws.sqs import SqsQueue
from core.errors import DependencyUnavailable
from harness.virtual_time import run_virtually

HOURS_S = 3_600.0
LATER = "9999999999999"
"""When a letter is sent that came after the pass began, in ms since the epoch."""


@dataclass(slots=True)
class Sqs:
    """A queue with SQS's visibility, in the loop's time. It lets `most_held` be held."""

    letters: int
    most_held: int = 120_000
    sent: dict[str, str] = field(default_factory=dict)
    hidden_until: dict[str, float] = field(default_factory=dict)
    refused: set[str] = field(default_factory=set)
    """Letters that no delete and no release is done for."""
    receives: int = 0
    on_receive: Callable[["Sqs"], None] = lambda _: None

    def __post_init__(self) -> None:
        for number in range(self.letters):
            self.put(f"letter {number}", sent="0")

    def put(self, name: str, *, sent: str) -> None:
        self.sent[name], self.hidden_until[name] = sent, 0.0

    @property
    def visible(self) -> list[str]:
        now = asyncio.get_running_loop().time()
        return [name for name, until in self.hidden_until.items() if until <= now]

    async def invoke(self, operation: str, asked: Mapping[str, Any]) -> dict[str, Any]:
        match operation:
            case "ReceiveMessage":
                return await self._receive(asked)
            case "DeleteMessageBatch":
                return self._delete(asked["Entries"])
            case "ChangeMessageVisibilityBatch":
                return self._change_visibility(asked["Entries"])
        assert operation == "GetQueueAttributes"
        return {"Attributes": {"ApproximateNumberOfMessages": str(len(self.visible))}}

    async def _receive(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        self.receives += 1
        self.on_receive(self)
        await asyncio.sleep(0.01)
        visible = self.visible
        room = self.most_held - (len(self.sent) - len(visible))
        taken = visible[: max(0, min(asked["MaxNumberOfMessages"], room))]
        if not taken:
            await asyncio.sleep(asked["WaitTimeSeconds"])
            return {}
        until = asyncio.get_running_loop().time() + asked["VisibilityTimeout"]
        messages = []
        for name in taken:
            # The order in which SQS hands out is nobody's to rely on; here what is held comes first again.
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
    """What one pass saw; `visible` are those that are there for others afterwards."""

    seen: list[str]
    visible: list[str]
    not_handed_out: int


async def read_through(sqs: Sqs, *, batch_s: float = 0.0, keep_every: int = 1) -> Pass:
    """`batch_s` is how long ten letters take; of `keep_every` letters one is kept, the others are deleted."""
    seen: list[str] = []
    async with dead_queue(SqsQueue(cast("Any", sqs), "the queue")) as queue:
        async for letters in queue.batches():
            await asyncio.sleep(batch_s)
            done = [
                letter
                for number, letter in enumerate(letters, start=len(seen))
                if keep_every == 0 or number % keep_every
            ]
            seen += [letter.body for letter in letters]
            await queue.delete(done)
    return Pass(seen, sqs.visible, queue.not_handed_out)


@pytest.mark.parametrize("keep_every", [0, 1, 3])
def test_a_pass_of_hours_sees_each_letter_once(keep_every: int) -> None:
    """What it passed over comes again and again meanwhile; it is neither taken for the end nor looked at twice."""
    sqs = Sqs(1_000)
    ended = run_virtually(read_through(sqs, batch_s=2 * HOURS_S / 100, keep_every=keep_every))
    assert sorted(ended.seen) == sorted(f"letter {number}" for number in range(1_000))
    assert len(ended.visible) == (len(range(0, 1_000, keep_every)) if keep_every else 0)


def test_what_comes_meanwhile_is_left_and_keeps_no_pass_from_its_end() -> None:
    """Redriven requests that fail at once write letters faster than they are read."""
    sqs = Sqs(100)
    for_ever = iter(range(10_000_000))

    def arrive(queue: Sqs) -> None:
        for _ in range(20):
            queue.put(f"late {next(for_ever)}", sent=LATER)

    sqs.on_receive = arrive
    ended = run_virtually(read_through(sqs, keep_every=0))
    assert sorted(ended.seen) == sorted(f"letter {number}" for number in range(100))
    # None of those it took up is hidden from the next pass.
    assert len(ended.visible) == len(sqs.sent)


def test_what_sqs_does_not_hand_out_is_told() -> None:
    """It lets so many be held, and a receive then brings nothing though there is more."""
    ended = run_virtually(read_through(Sqs(500, most_held=200)))
    assert len(ended.seen) == 200
    assert ended.not_handed_out == 300
    assert len(ended.visible) == 500


def test_an_empty_receive_is_not_taken_for_the_end_where_there_is_more() -> None:
    """A receive may ask servers that have none of the letters."""
    sqs = Sqs(30)

    def seldom(queue: Sqs) -> None:
        queue.most_held = 0 if queue.receives % 4 else 120_000

    sqs.on_receive = seldom
    assert len(run_virtually(read_through(sqs)).seen) == 30


def test_a_pass_that_breaks_off_hides_nothing() -> None:
    """Whatever ends it, the next one finds all that it did not delete."""
    sqs = Sqs(40)

    async def break_off() -> None:
        async with dead_queue(SqsQueue(cast("Any", sqs), "the queue")) as queue:
            async for letters in queue.batches():
                await queue.delete(letters[:1])
                raise RuntimeError("broken")

    async def visible_afterwards() -> int:
        with pytest.raises(RuntimeError, match="broken"):
            await break_off()
        return len(sqs.visible)

    assert run_virtually(visible_afterwards()) == 39


def test_a_message_that_is_not_released_is_logged() -> None:
    """SQS answers 200 although it refused one of ten: the next pass will not find that one at once."""
    sqs = Sqs(10, refused={"letter 3"})
    with capture_logs() as logs:
        ended = run_virtually(read_through(sqs))
    assert len(ended.visible) == 9
    assert [(log["log_level"], log["count"]) for log in logs] == [("warning", 1)]


def test_a_message_that_is_not_deleted_stays_held() -> None:
    """The pass ends with an error, and the message is released with the others."""
    sqs = Sqs(10, refused={"letter 3"})

    async def scenario() -> list[str]:
        with pytest.raises(DependencyUnavailable, match="InternalError"):
            await read_through(sqs, keep_every=0)
        sqs.refused.clear()
        return list(sqs.sent)

    with capture_logs() as logs:
        assert run_virtually(scenario()) == ["letter 3"]
    assert [log["count"] for log in logs] == [1]
