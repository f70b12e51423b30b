"""The SQS client checks the result of each entry of a batch."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, cast

import pytest

from core.aws.batch import call_batch
from core.aws.sqs import SqsQueue, VisibilityError
from core.errors import DependencyUnavailable, RequestRejected
from harness.virtual_time import run_virtually


class Sqs:
    """Answers each batch call with the next of `answers`, and afterwards takes every entry."""

    def __init__(self, *answers: Mapping[str, Any] | Exception) -> None:
        self._answers = list(answers)
        self.batches: list[tuple[str, Sequence[Mapping[str, Any]]]] = []

    async def invoke(self, operation: str, members: Mapping[str, Any]) -> Mapping[str, Any]:
        entries = members["Entries"]
        self.batches.append((operation, entries))
        await asyncio.sleep(0.01)
        if not self._answers:
            return {"Successful": [{"Id": entry["Id"]} for entry in entries]}
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    @property
    def queue(self) -> SqsQueue:
        return SqsQueue(cast("Any", self), "the queue")


def failed(number: int, code: str, *, sender_fault: bool) -> dict[str, Any]:
    return {"Id": str(number), "Code": code, "SenderFault": sender_fault}


def test_only_entries_named_as_successful_were_taken() -> None:
    """An entry that the answer does not name counts as failed, and so does one that SQS failed."""
    answer = {
        "Successful": [{"Id": "1"}],
        "Failed": [failed(2, "InternalError", sender_fault=False)],
    }

    async def invoke(entries: list[dict[str, Any]]) -> dict[str, Any]:
        assert [entry["Id"] for entry in entries] == ["0", "1", "2"]
        return answer

    errors = run_virtually(call_batch("sqs:SendMessageBatch", invoke, [{}, {}, {}]))
    assert [error and error.code for error in errors] == ["NoResult", None, "InternalError"]


def test_a_failed_entry_is_sent_again_and_the_others_are_not() -> None:
    """Throttling and internal errors arrive inside a successful answer."""
    sqs = Sqs(
        {
            "Successful": [{"Id": "0"}],
            "Failed": [failed(1, "InternalError", sender_fault=False)],
        }
    )

    async def scenario() -> None:
        queue = sqs.queue
        await asyncio.gather(queue.send("a", group=""), queue.send("b", delay=3, group="acme"))

    run_virtually(scenario())
    sent = [[entry["MessageBody"] for entry in entries] for _, entries in sqs.batches]
    assert sent == [["a", "b"], ["b"]]
    assert "MessageGroupId" not in sqs.batches[0][1][0]
    resent = sqs.batches[1][1][0]
    assert (resent["DelaySeconds"], resent["MessageGroupId"]) == (3, "acme")


@pytest.mark.parametrize(
    ("code", "error"),
    [("InvalidMessageContents", RequestRejected), ("AccessDenied", DependencyUnavailable)],
)
def test_a_fault_of_ours_fails_its_entry_alone(code: str, error: type[Exception]) -> None:
    """It is not retried."""
    sqs = Sqs({"Successful": [{"Id": "0"}], "Failed": [failed(1, code, sender_fault=True)]})

    async def scenario() -> None:
        queue = sqs.queue
        one, other = queue.send_nowait("a", group=""), queue.send_nowait("b", group="")
        await one
        with pytest.raises(error):
            await other

    run_virtually(scenario())
    assert len(sqs.batches) == 1


@pytest.mark.parametrize(
    ("body", "counts"),
    [("a" * 26_214, [10, 2]), ("a" * 26_215, [9, 3]), ("\u20ac" * 20_000, [4, 4, 4])],
)
def test_a_batch_has_at_most_256_kib(body: str, counts: list[int]) -> None:
    """The limit of all bodies together, in bytes of UTF-8."""
    sqs = Sqs()

    async def send_all() -> None:
        queue = sqs.queue
        await asyncio.gather(*(queue.send(body, group="") for _ in range(12)))

    run_virtually(send_all())
    assert [len(entries) for _, entries in sqs.batches] == counts


def test_an_expired_receipt_counts_as_deleted() -> None:
    """The message belongs to a later delivery; an internal error is retried."""
    sqs = Sqs(
        {
            "Failed": [
                failed(0, "ReceiptHandleIsInvalid", sender_fault=True),
                failed(1, "InternalError", sender_fault=False),
            ]
        }
    )

    async def scenario() -> None:
        queue = sqs.queue
        await asyncio.gather(queue.delete("expired"), queue.delete("b"))

    run_virtually(scenario())
    assert [entry["ReceiptHandle"] for entry in sqs.batches[-1][1]] == ["b"]


def test_each_message_whose_visibility_did_not_change_is_an_error() -> None:
    """One error for a refused entry, with its receipt; one for a failed call. The other calls are made all the same."""
    sqs = Sqs(
        {
            "Successful": [{"Id": str(number)} for number in range(8)],
            "Failed": [failed(8, "InternalError", sender_fault=False)],
        },
        OSError("away"),
    )
    receipts = [str(number) for number in range(25)]
    errors = run_virtually(sqs.queue.change_visibility(receipts, 120))
    assert sorted((error.code, error.receipt) for error in errors) == [
        ("DependencyUnavailable", ""),
        ("InternalError", "8"),
        ("NoResult", "9"),
    ]
    assert [len(entries) for _, entries in sqs.batches] == [10, 10, 5]
    assert {entry["VisibilityTimeout"] for _, entries in sqs.batches for entry in entries} == {120}


def test_a_call_that_is_not_answered_in_time_is_an_error() -> None:
    """It does not hold up the caller, and the other calls count."""

    class Hanging(Sqs):
        async def invoke(self, operation: str, members: Mapping[str, Any]) -> Mapping[str, Any]:
            if members["Entries"][0]["ReceiptHandle"] == "0":
                await asyncio.Event().wait()
            return await super().invoke(operation, members)

    receipts = [str(number) for number in range(25)]
    errors = run_virtually(Hanging().queue.change_visibility(receipts, 0, within=2))
    assert errors == [VisibilityError("TimeoutError", "no answer in 2 s")]


def test_groups_take_turns_in_the_batches_of_sends() -> None:
    """A message does not wait for all those of another customer, and costs no further call."""

    async def scenario() -> list[str]:
        sqs = Sqs()
        queue = sqs.queue
        sends = [queue.send_nowait("a", group="a") for _ in range(200)]
        sends.append(queue.send_nowait("b", group="b"))
        await asyncio.gather(*sends)
        return ["".join(entry["MessageBody"] for entry in entries) for _, entries in sqs.batches]

    batches = run_virtually(scenario())
    assert len(batches) == 21
    # Eight calls are sent at once, before the message arrives.
    assert "b" in batches[8]
