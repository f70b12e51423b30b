"""Reading a dead-letter queue through, once."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from core.aws import call
from core.clock import now_ms
from core.queue_sender import MAX_BATCH

if TYPE_CHECKING:
    from types_aiobotocore_sqs import SQSClient


_INVISIBLE_S = 900
"""While one pass reads the queue; what it leaves there is visible again after this, in seconds."""


@dataclass(frozen=True, slots=True)
class Letter:
    body: str
    receipt: str


class DeadQueue:
    def __init__(self, sqs: "SQSClient", url: str) -> None:
        self._sqs = sqs
        self._url = url

    async def letters(self) -> AsyncIterator[Letter]:
        """Every letter that is there now, once.

        Letters that arrive meanwhile are left for the next pass: what is redriven may fail again at once. Ends when a
        receive brings nothing that was there before this pass and is new to it.
        """
        began = now_ms()
        seen: set[str] = set()
        while True:
            response = await call(
                "sqs:ReceiveMessage",
                self._sqs.receive_message(
                    QueueUrl=self._url,
                    MaxNumberOfMessages=MAX_BATCH,
                    WaitTimeSeconds=1,
                    VisibilityTimeout=_INVISIBLE_S,
                    MessageSystemAttributeNames=["SentTimestamp"],
                ),
            )
            fresh = [
                raw
                for raw in response.get("Messages", [])
                if int(raw["Attributes"]["SentTimestamp"]) <= began and raw["MessageId"] not in seen
            ]
            if not fresh:
                return
            seen.update(raw["MessageId"] for raw in fresh)
            for raw in fresh:
                yield Letter(raw["Body"], raw["ReceiptHandle"])

    async def delete(self, letter: Letter) -> None:
        await call(
            "sqs:DeleteMessage",
            self._sqs.delete_message(QueueUrl=self._url, ReceiptHandle=letter.receipt),
        )
