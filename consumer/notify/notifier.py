"""Notifies of outcomes: SNS, and for a failure a message in the failed-requests queue."""

from collections.abc import Sequence
from functools import partial
from typing import Any

from consumer.notify.notification import notification_entry
from consumer.notify.outcome import Outcome, failed_request_message_of
from consumer.notify.redis_publisher import RedisPublisher
from core.aws.batch import MAX_BATCH, call_batch, entry_outcome
from core.aws.http import Publisher
from core.aws.sqs import SqsQueue
from core.batcher import NO_LINGER, Batcher, Batching, BatchRejected, ItemResult
from core.errors import RequestRejected


class Notifier:
    def __init__(
        self,
        sns: Publisher,
        topic_arn: str,
        public_base_url: str,
        failed_requests: SqsQueue,
        batching: Batching = NO_LINGER,
        *,
        redis: RedisPublisher | None = None,
    ) -> None:
        self._sns = sns
        self._topic_arn = topic_arn
        self._public_base_url = public_base_url
        self._failed_requests = failed_requests
        self._redis = redis
        self._publishes: Batcher[dict[str, Any], None] = Batcher(
            "sns publishes", self._publish, max_batch=MAX_BATCH, batching=batching
        )

    async def notify(self, outcome: Outcome) -> None:
        """Publish an outcome, and send a failure to the failed-requests queue. A repeat has the same notification id.

        Raises Overloaded, DependencyUnavailable or RequestRejected.
        """
        if self._redis is not None:
            self._redis.publish(outcome)
        await self._publishes.submit(notification_entry(outcome, self._public_base_url))
        if outcome.failure:
            await self._failed_requests.send(
                failed_request_message_of(outcome, outcome.failure).encode()
            )

    async def drain(self) -> None:
        await self._publishes.drain()
        await self._failed_requests.drain()
        if self._redis is not None:
            await self._redis.drain()

    async def _publish(self, batch: Sequence[dict[str, Any]]) -> Sequence[ItemResult[None]]:
        try:
            errors = await call_batch(
                "sns:PublishBatch", partial(self._sns.publish_batch, self._topic_arn), batch
            )
        except RequestRejected as rejection:
            raise BatchRejected from rejection
        return [entry_outcome(error) for error in errors]
