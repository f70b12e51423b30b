"""Clients of the services that the worker and the jobs read and write."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

import structlog

from consumer.notify.notifier import Notifier
from consumer.notify.redis_publisher import RedisPublisher
from consumer.notify.request_log import RequestLog
from consumer.settings import ConsumerSettings
from core.aws.client import Aws, open_aws
from core.aws.sqs import SqsQueue
from core.dynamodb.statements import Statements
from core.dynamodb.tables import Tables
from core.redis.completed_requests import open_completed_requests
from core.redis.connection import RedisConnection

_DAY_S = 86_400
_DRAIN_TIMEOUT_S = 5.0
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Clients:
    aws: Aws
    tables: Tables
    queue: SqsQueue
    bulk_queue: SqsQueue | None
    notifier: Notifier
    redis: RedisConnection | None

    @property
    def backlog_queue(self) -> SqsQueue:
        """The queue of messages for which nobody waits: bulk, if there are two lanes."""
        return self.bulk_queue or self.queue

    async def drain(self) -> None:
        """Wait for the batches in progress, for a few seconds."""
        queues = (self.queue, self.bulk_queue)
        await drain_all(
            self.tables.drain(),
            self.notifier.drain(),
            *(queue.drain() for queue in queues if queue is not None),
        )


@asynccontextmanager
async def open_clients(settings: ConsumerSettings) -> AsyncIterator[Clients]:
    """Open the clients; on exit, drain pending batches and close them."""
    async with open_aws() as aws:
        statements = Statements(
            requests_table=settings.requests_table,
            images_table=settings.images_table,
            shards=settings.customer_shards,
            retention_s=settings.retention_days * _DAY_S,
        )
        tables = Tables(
            aws.http.dynamodb,
            statements,
            settings.batching,
            renditions=settings.renditions_file is not None,
        )
        redis = open_completed_requests(settings)
        open_queue = partial(SqsQueue, aws.http.sqs, batching=settings.batching)
        clients = Clients(
            aws=aws,
            tables=tables,
            queue=open_queue(settings.queue_url),
            bulk_queue=open_queue(settings.bulk_queue_url) if settings.bulk_queue_url else None,
            notifier=_notifier(
                settings, aws, None if redis is None else RedisPublisher(tables, redis)
            ),
            redis=None if redis is None else redis.connection,
        )
        try:
            yield clients
        finally:
            await clients.drain()
            if redis is not None:
                await redis.close()


def _notifier(settings: ConsumerSettings, aws: Aws, redis: RedisPublisher | None) -> Notifier:
    failed_requests = SqsQueue(
        aws.http.sqs,
        settings.failed_requests_queue_url,
        batching=settings.batching,
        sends_name="sqs failed requests",
    )
    return Notifier(
        aws.http.sns,
        settings.topic_arn,
        settings.public_base_url,
        failed_requests,
        settings.batching,
        request_log=RequestLog(settings.customer_tag_key.get_secret_value().encode()),
        redis=redis,
    )


async def drain_all(*drains: Awaitable[None]) -> None:
    """Wait for all drains, for 5 seconds at most. SQS delivers again what AWS has not acknowledged by then."""
    try:
        async with asyncio.timeout(_DRAIN_TIMEOUT_S):
            await asyncio.gather(*drains)
    except TimeoutError:
        _log.warning("drain timed out", seconds=_DRAIN_TIMEOUT_S)
