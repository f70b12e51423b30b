"""Telling of outcomes: a notification to SNS and, for a failure, a copy in the dead-letter queue."""

from collections.abc import Sequence
from typing import Any

from consumer.announcer import Announcer
from consumer.notification import notification_entry
from consumer.outcome import Outcome, dead_letter_of
from core.aws import call
from core.errors import RequestRejected
from core.group_commit import NO_LINGER, Batching, BatchRefused, GroupCommit
from core.group_commit import Outcome as Committed
from core.queue_sender import MAX_BATCH, QueueSender, batch_outcomes
from core.wire import Publisher


class Notifier:
    def __init__(
        self,
        sns: Publisher,
        topic_arn: str,
        public_base_url: str,
        dead_letters: QueueSender,
        batching: Batching = NO_LINGER,
        *,
        announcer: Announcer | None = None,
    ) -> None:
        self._sns = sns
        self._topic_arn = topic_arn
        self._public_base_url = public_base_url
        self._dead_letters = dead_letters
        self._announcer = announcer
        self._publishes: GroupCommit[dict[str, Any], None] = GroupCommit(
            "sns publishes", self._publish, max_batch=MAX_BATCH, batching=batching
        )

    async def tell(self, outcome: Outcome) -> None:
        """Notify, then copy a failure to the dead letters. At least once: a repeat bears the same id."""
        if self._announcer is not None:
            self._announcer.announce(outcome)
        await self._publishes.submit(notification_entry(outcome, self._public_base_url))
        if outcome.failure:
            await self._dead_letters.send(dead_letter_of(outcome, outcome.failure).encode())

    async def drain(self) -> None:
        await self._publishes.drain()
        await self._dead_letters.drain()
        if self._announcer is not None:
            await self._announcer.drain()

    async def _publish(self, batch: Sequence[dict[str, Any]]) -> Sequence[Committed[None]]:
        entries: list[Any] = [{"Id": str(at), **entry} for at, entry in enumerate(batch)]
        try:
            response = await call(
                "sns:PublishBatch",
                self._sns.publish_batch(self._topic_arn, entries),
            )
        except RequestRejected as rejection:
            raise BatchRefused from rejection
        return batch_outcomes(response, len(batch))
