"""Reading a dead-letter queue through, once."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from core.aws import call
from core.queue_sender import MAX_BATCH

if TYPE_CHECKING:
    from types_aiobotocore_sqs import SQSClient


@dataclass(frozen=True, slots=True)
class Letter:
    body: str
    receipt: str


class DeadQueue:
    def __init__(self, sqs: "SQSClient", url: str) -> None:
        self._sqs = sqs
        self._url = url

    async def letters(self) -> AsyncIterator[Letter]:
        """Every letter that is visible now; ends when a receive brings none."""
        while True:
            response = await call(
                "sqs:ReceiveMessage",
                self._sqs.receive_message(
                    QueueUrl=self._url, MaxNumberOfMessages=MAX_BATCH, WaitTimeSeconds=1
                ),
            )
            messages = response.get("Messages", [])
            if not messages:
                return
            for raw in messages:
                yield Letter(raw["Body"], raw["ReceiptHandle"])

    async def delete(self, letter: Letter) -> None:
        await call(
            "sqs:DeleteMessage",
            self._sqs.delete_message(QueueUrl=self._url, ReceiptHandle=letter.receipt),
        )
