"""Notifies of outcomes: SNS, and for a failure a message in the failed-requests queue."""

from functools import partial

from consumer.notify.notification import entry_bytes, notification_entry
from consumer.notify.outcome import Outcome, failed_request_message_of
from consumer.notify.redis_publisher import RedisPublisher
from consumer.notify.request_log import RequestLog
from core.aws.batch import MAX_BATCH, MAX_BATCH_BYTES, Entry, batch_commit
from core.aws.http import Publisher
from core.aws.sqs import SqsQueue
from core.batcher import NO_LINGER, Batcher, Batching


class Notifier:
    """`request_log` is for the callers: they know whether an outcome is new."""

    def __init__(
        self,
        sns: Publisher,
        topic_arn: str,
        public_base_url: str,
        failed_requests: SqsQueue,
        batching: Batching = NO_LINGER,
        *,
        request_log: RequestLog,
        redis: RedisPublisher | None = None,
    ) -> None:
        self.request_log = request_log
        self._public_base_url = public_base_url
        self._failed_requests = failed_requests
        self._redis = redis
        publish = batch_commit("sns:PublishBatch", partial(sns.publish_batch, topic_arn))
        self._publishes: Batcher[Entry, None] = Batcher(
            "sns publishes",
            publish,
            max_batch=MAX_BATCH,
            max_bytes=MAX_BATCH_BYTES,
            size=entry_bytes,
            batching=batching,
        )

    async def notify(self, outcome: Outcome) -> None:
        """Publish an outcome, and send a failure to the failed-requests queue. A repeat has the same notification id.

        Raises Overloaded, DependencyUnavailable or RequestRejected.
        """
        if self._redis is not None:
            self._redis.publish(outcome)
        await self.publish(outcome)
        if outcome.failure:
            # After the publish: retry-failed reopens a request of this queue without publishing its outcome again.
            await self._failed_requests.send(
                failed_request_message_of(outcome, outcome.failure).encode(),
                group=outcome.customer_id,
            )

    async def publish(self, outcome: Outcome) -> None:
        """Publish an outcome to SNS only. Raises as `notify`."""
        entry = notification_entry(outcome, self._public_base_url)
        await self._publishes.submit(entry, outcome.customer_id)

    async def drain(self) -> None:
        await self._publishes.drain()
        await self._failed_requests.drain()
        if self._redis is not None:
            await self._redis.drain()
