"""The SQS client: one queue, to send to, receive from, delete from, and ask about."""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, TypeVar

from core.answers import MalformedAnswer, member, optional_member
from core.aws.batch import (
    MAX_BATCH,
    MAX_BATCH_BYTES,
    Entry,
    EntryError,
    batch_commit,
    call_batch,
    item_result,
    text_bytes,
)
from core.aws.client import CALL_SECONDS, call
from core.aws.http import JsonService
from core.batcher import NO_LINGER, OK, Batcher, Batching, ItemResult
from core.errors import DependencyUnavailable, RequestRejected

R = TypeVar("R")

_MAX_FLUSHES = 8
"""Concurrent batch calls of a Batcher: SQS batches are smaller than DynamoDB's, and as many items must pass."""
_VISIBILITY_CALLS = 32
"""Concurrent calls of one `change_visibility`: half of the connections that a process has to SQS."""
_RECEIVE_COUNT = "ApproximateReceiveCount"
_SENT_AT = "SentTimestamp"


@dataclass(frozen=True, slots=True)
class IncomingMessage:
    """A received message. `sent_at` is in milliseconds since the epoch."""

    id: str
    body: str
    receipt: str
    receive_count: int
    sent_at: int


@dataclass(frozen=True, slots=True)
class VisibilityError(EntryError):
    """Why messages keep their old visibility timeout: SQS refused one of them, or a whole call failed.

    `receipt` is that of the refused message, and empty for a call.
    """

    receipt: str = ""


class SqsQueue:
    """One queue. Concurrent sends share their calls, and so do concurrent deletes.

    `sends_name` is the label of the sends in the batcher's metrics.
    """

    def __init__(
        self,
        sqs: JsonService,
        url: str,
        *,
        batching: Batching = NO_LINGER,
        sends_name: str = "sqs sends",
    ) -> None:
        self._sqs = sqs
        self._url = url
        self._batching = batching
        self._sends_name = sends_name

    # Lazy, so that a process has metrics of the batchers that it uses.
    @cached_property
    def _sends(self) -> Batcher[Entry, None]:
        return self._batcher(self._sends_name, "SendMessageBatch", item_result, size=_message_bytes)

    @cached_property
    def _deletes(self) -> Batcher[Entry, None]:
        return self._batcher("sqs deletes", "DeleteMessageBatch", _delete_result)

    def _batcher(
        self,
        name: str,
        operation: str,
        result: Callable[[EntryError | None], ItemResult[None]],
        *,
        size: Callable[[Entry], int] | None = None,
    ) -> Batcher[Entry, None]:
        return Batcher(
            name,
            batch_commit(f"sqs:{operation}", partial(self._invoke_batch, operation), result),
            max_batch=MAX_BATCH,
            max_bytes=MAX_BATCH_BYTES,
            size=size,
            batching=self._batching,
            max_flushes=_MAX_FLUSHES,
        )

    async def _invoke_batch(self, operation: str, entries: list[dict[str, Any]]) -> dict[str, Any]:
        return await self._sqs.invoke(operation, {"QueueUrl": self._url, "Entries": entries})

    async def send(self, body: str, *, group: str, delay: int = 0) -> None:
        """Return once SQS has stored the message; it is delivered after `delay` seconds, at most 900.

        group: the tenant of a fair queue, 1 to 128 ASCII letters and punctuation (MessageGroupId, SQS Developer Guide,
        "Amazon SQS fair queues"); empty for none. Raises Overloaded, DependencyUnavailable or RequestRejected.
        """
        await self.send_nowait(body, delay=delay, group=group)

    def send_nowait(self, body: str, *, group: str, delay: int = 0) -> asyncio.Future[None]:
        """Start a send without a task; the future ends as `send` would. Raises Overloaded at once."""
        entry: dict[str, Any] = {"MessageBody": body}
        if group:
            entry["MessageGroupId"] = group
        if delay:
            entry["DelaySeconds"] = delay
        return self._sends.submit_nowait(entry, group)

    async def receive(
        self, count: int, *, wait: int, visibility_timeout: int | None = None
    ) -> list[IncomingMessage]:
        """Return up to `count` messages, at most 10, after at most `wait` seconds (long poll, 0 to 20).

        `visibility_timeout` is in seconds; None takes the queue's. Raises DependencyUnavailable or RequestRejected.
        """
        members: dict[str, Any] = {
            "MaxNumberOfMessages": min(count, MAX_BATCH),
            "WaitTimeSeconds": wait,
            "MessageSystemAttributeNames": [_RECEIVE_COUNT, _SENT_AT],
        }
        if visibility_timeout is not None:
            members["VisibilityTimeout"] = visibility_timeout
        # A silent poll is only detected after its wait, and the retry needs a full wait of its own.
        return await self._call(
            "ReceiveMessage",
            members,
            partial(_decode_messages, members["MaxNumberOfMessages"]),
            seconds=2 * wait + CALL_SECONDS,
        )

    async def delete(self, receipt: str) -> None:
        """Return once SQS has deleted the message. Raises Overloaded, DependencyUnavailable or RequestRejected.

        An expired receipt counts as success: the message then belongs to a later delivery.
        """
        await self.delete_nowait(receipt)

    def delete_nowait(self, receipt: str) -> asyncio.Future[None]:
        """Start a delete without a task; the future ends as `delete` would. Raises Overloaded at once."""
        return self._deletes.submit_nowait({"ReceiptHandle": receipt})

    async def change_visibility(
        self, receipts: Sequence[str], seconds: int, *, within: float | None = None
    ) -> list[VisibilityError]:
        """Hide messages for `seconds` from now; 0 makes them visible at once.

        Return an error for each message that SQS refused, and one for each call that failed or was not answered
        `within` so many seconds. Nothing is raised because of SQS: the old visibility timeout then still applies.
        """
        batches = [receipts[at : at + MAX_BATCH] for at in range(0, len(receipts), MAX_BATCH)]
        waiting, answers = iter(batches), list[list[VisibilityError]]()
        lanes = (
            self._change_batches(waiting, seconds, answers)
            for _ in range(min(_VISIBILITY_CALLS, len(batches)))
        )
        try:
            async with asyncio.timeout(within):
                await asyncio.gather(*lanes)
        except TimeoutError:
            late = len(batches) - len(answers)
            answers.append([VisibilityError("TimeoutError", f"no answer in {within} s")] * late)
        return [error for answer in answers for error in answer]

    async def attributes(
        self, *names: str, optional: Sequence[str] = (), seconds: float = CALL_SECONDS
    ) -> Mapping[str, int]:
        """Return numeric attributes of the queue: those of `names`, and those of `optional` that SQS reports.

        `seconds` bounds the call. Raises DependencyUnavailable or RequestRejected.
        """
        return await self._call(
            "GetQueueAttributes",
            {"AttributeNames": (*names, *optional)},
            partial(_decode_attributes, names, optional),
            seconds=seconds,
        )

    async def drain(self) -> None:
        await self._sends.drain()
        await self._deletes.drain()

    async def _call(
        self,
        operation: str,
        members: Mapping[str, Any],
        decode: Callable[[Mapping[str, Any]], R],
        *,
        seconds: float,
    ) -> R:
        arguments = {"QueueUrl": self._url, **members}
        return await call(
            f"sqs:{operation}", self._sqs.invoke(operation, arguments), decode, seconds=seconds
        )

    async def _change_batches(
        self, batches: Iterator[Sequence[str]], seconds: int, answers: list[list[VisibilityError]]
    ) -> None:
        operation = "ChangeMessageVisibilityBatch"
        invoke = partial(self._invoke_batch, operation)
        for receipts in batches:
            entries = [
                {"ReceiptHandle": receipt, "VisibilityTimeout": seconds} for receipt in receipts
            ]
            try:
                errors = await call_batch(f"sqs:{operation}", invoke, entries)
            except (DependencyUnavailable, RequestRejected) as error:
                answers.append([VisibilityError(type(error).__name__, str(error))])
            else:
                answers.append(
                    [
                        VisibilityError(error.code, error.message, error.sender_fault, receipt)
                        for receipt, error in zip(receipts, errors, strict=True)
                        if error is not None
                    ]
                )


def _message_bytes(entry: Entry) -> int:
    return text_bytes(entry["MessageBody"])


def _delete_result(error: EntryError | None) -> ItemResult[None]:
    """Count an expired receipt as success."""
    return OK if error is not None and error.sender_fault else item_result(error)


def _decode_messages(limit: int, answer: Mapping[str, Any]) -> list[IncomingMessage]:
    """Decode a ReceiveMessage. SQS leaves out the list if it has no messages."""
    messages = optional_member(answer, "Messages", list, [])
    if len(messages) > limit:
        raise MalformedAnswer(f"{len(messages)} messages instead of {limit}")
    return [_message(raw) for raw in messages]


def _message(raw: Mapping[str, Any]) -> IncomingMessage:
    attributes = member(raw, "Attributes", dict)
    return IncomingMessage(
        id=member(raw, "MessageId", str),
        body=member(raw, "Body", str),
        receipt=member(raw, "ReceiptHandle", str),
        receive_count=int(member(attributes, _RECEIVE_COUNT, str)),
        sent_at=int(member(attributes, _SENT_AT, str)),
    )


def _decode_attributes(
    names: Sequence[str], optional: Sequence[str], answer: Mapping[str, Any]
) -> dict[str, int]:
    """Decode a GetQueueAttributes. All values are text."""
    attributes = member(answer, "Attributes", dict)
    reported = (name for name in optional if name in attributes)
    return {name: int(member(attributes, name, str)) for name in (*names, *reported)}
