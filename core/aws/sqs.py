"""Sending to an SQS queue; concurrent callers share their calls."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from core.aws.client import call
from core.aws.http import JsonService
from core.batcher import (
    DONE,
    NO_LINGER,
    Again,
    Batcher,
    Batching,
    BatchRejected,
    Outcome,
    Refused,
)
from core.errors import DependencyUnavailable, RequestRejected

MAX_BATCH = 10
"""Entries in one SQS batch call (AWS limit)."""
MAX_FLUSHES = 8
"""Calls at once: batches are smaller than the tables', and as many items must pass."""


_REJECTED = frozenset(
    {"InvalidMessageContents", "InvalidParameter", "InvalidParameterValue", "ParameterValueInvalid"}
)


@dataclass(frozen=True, slots=True)
class OutgoingMessage:
    """`delay` is in whole seconds, 0 to 900 (AWS limit)."""

    body: str
    delay: int = 0


class QueueSender:
    def __init__(
        self,
        sqs: JsonService,
        queue_url: str,
        name: str = "sqs sends",
        batching: Batching = NO_LINGER,
    ) -> None:
        self._sqs = sqs
        self._queue_url = queue_url
        self._sends: Batcher[OutgoingMessage, None] = Batcher(
            name, self._send, max_batch=MAX_BATCH, batching=batching, max_flushes=MAX_FLUSHES
        )

    async def send(self, body: str, *, delay: int = 0) -> None:
        """Returns once SQS has acknowledged. Raises Overloaded, DependencyUnavailable or RequestRejected."""
        await self.begin_send(body, delay=delay)

    def begin_send(self, body: str, *, delay: int = 0) -> asyncio.Future[None]:
        """Like `send`, without a task: the future ends as `send` would. Raises Overloaded at once."""
        return self._sends.begin(OutgoingMessage(body, delay))

    async def drain(self) -> None:
        await self._sends.drain()

    async def _send(self, batch: Sequence[OutgoingMessage]) -> Sequence[Outcome[None]]:
        entries: list[Any] = [_entry(position, item) for position, item in enumerate(batch)]
        try:
            response = await call(
                "sqs:SendMessageBatch",
                self._sqs.invoke(
                    "SendMessageBatch", {"QueueUrl": self._queue_url, "Entries": entries}
                ),
            )
        except RequestRejected as rejection:
            raise BatchRejected from rejection
        return batch_outcomes(response, len(batch))


def _entry(position: int, item: OutgoingMessage) -> dict[str, Any]:
    entry: dict[str, Any] = {"Id": str(position), "MessageBody": item.body}
    if item.delay:
        entry["DelaySeconds"] = item.delay
    return entry


def batch_outcomes(
    response: Any, count: int, outcome: Callable[[Any], Outcome[None]] | None = None
) -> list[Outcome[None]]:
    """The outcomes of an SQS or SNS batch whose entries' ids are their positions.

    An entry of which the answer says nothing is tried again: only what it names as successful was taken.
    """
    failed = {entry["Id"]: entry for entry in response.get("Failed", [])}
    taken = {entry["Id"] for entry in response.get("Successful", [])}
    judge = outcome or batch_outcome
    return [
        judge(failed.get(position)) if position in failed or position in taken else Again("no word")
        for position in map(str, range(count))
    ]


def batch_outcome(failure: Any) -> Outcome[None]:
    """What an entry of an SQS or SNS batch answer says; None is success.

    Throttling and internal errors arrive inside a successful answer; they are the receiver's fault. A fault of ours
    in the entry's content rejects that entry; any other, such as a missing permission, is an outage.
    """
    if failure is None:
        return DONE
    reason = f"{failure['Code']}: {failure.get('Message', '')}"
    if failure["Code"] in _REJECTED:
        return Refused(RequestRejected("batch entry", failure["Code"], failure.get("Message", "")))
    if failure.get("SenderFault"):
        return Refused(DependencyUnavailable(reason))
    return Again(reason)
