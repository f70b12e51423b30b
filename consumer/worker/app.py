"""Putting a consumer together from its settings."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import structlog

from consumer.fetching.fetcher import Fetcher, FetchPolicy
from consumer.imaging import ImagePolicy
from consumer.notify.notifier import Notifier
from consumer.notify.redis_publisher import RedisPublisher
from consumer.settings import ConsumerSettings
from consumer.worker.decode_pool import Decoder
from consumer.worker.handler import MessageHandler
from consumer.worker.pipeline import Pipeline
from consumer.worker.receive_queue import ReceiveQueue
from consumer.worker.retry_policy import RetryPolicy
from consumer.worker.storage import ImageStorage
from core.aws.client import Aws, open_aws
from core.aws.sqs import SqsQueue
from core.dynamodb.statements import Statements
from core.dynamodb.tables import Tables
from core.redis.completed_requests import open_completed_requests

_DAY_S = 86_400
_DRAIN_S = 5.0
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Clients:
    """What every command of the consumer reads and writes."""

    aws: Aws
    tables: Tables
    queue: SqsQueue
    notifier: Notifier


@asynccontextmanager
async def open_stores(settings: ConsumerSettings) -> AsyncIterator[Clients]:
    """Flushes what is under way before the clients close."""
    async with open_aws() as aws:
        statements = Statements(
            requests_table=settings.requests_table,
            images_table=settings.images_table,
            shards=settings.customer_shards,
            retention_s=settings.retention_days * _DAY_S,
        )
        tables = Tables(aws.dynamodb, aws.wire.dynamodb, statements, settings.batching)
        shared = open_completed_requests(settings)
        stores = Clients(
            aws=aws,
            tables=tables,
            queue=SqsQueue(aws.wire.sqs, settings.queue_url, batching=settings.batching),
            notifier=Notifier(
                aws.wire.sns,
                settings.topic_arn,
                settings.public_base_url,
                SqsQueue(
                    aws.wire.sqs,
                    settings.failed_requests_queue_url,
                    batching=settings.batching,
                    sends_name="sqs failed requests",
                ),
                settings.batching,
                announcer=None if shared is None else RedisPublisher(tables, shared),
            ),
        )
        try:
            yield stores
        finally:
            await _bounded(stores.tables.drain(), stores.notifier.drain(), stores.queue.drain())
            if shared is not None:
                await shared.close()


@dataclass(frozen=True, slots=True)
class WorkerApp:
    inbox: ReceiveQueue
    worker: MessageHandler


@asynccontextmanager
async def open_workplace(settings: ConsumerSettings, stores: Clients) -> AsyncIterator[WorkerApp]:
    inbox = ReceiveQueue(stores.queue)
    fetcher = Fetcher(fetch_policy(settings))
    decoder = Decoder(
        ImagePolicy(
            max_pixels=settings.max_pixels,
            max_frames=settings.max_frames,
            verification=settings.verification,
        ),
        threads=settings.decode_threads,
        budget_bytes=settings.decode_budget_bytes,
    )
    secret = settings.customer_tag_key.get_secret_value().encode()
    retries = RetryPolicy(settings.max_attempts, settings.retry_delay_s)
    pipeline = Pipeline(
        fetcher=fetcher,
        decoder=decoder,
        bucket=ImageStorage(stores.aws.wire.bucket(settings.bucket), settings.bucket, secret),
        tables=stores.tables,
        retries=retries,
    )
    worker = MessageHandler(
        inbox=inbox,
        pipeline=pipeline,
        tables=stores.tables,
        notifier=stores.notifier,
        retries=retries,
        max_runs_alone=settings.max_isolated_runs,
    )
    try:
        yield WorkerApp(inbox, worker)
    finally:
        await _bounded(inbox.drain())
        await fetcher.close()
        decoder.close()


async def _bounded(*drains: Awaitable[None]) -> None:
    """What AWS does not acknowledge within a few seconds of a process's end is left to redelivery."""
    try:
        async with asyncio.timeout(_DRAIN_S):
            await asyncio.gather(*drains)
    except TimeoutError:
        _log.warning("not all was flushed", seconds=_DRAIN_S)


def fetch_policy(settings: ConsumerSettings) -> FetchPolicy:
    return FetchPolicy(
        connect_timeout=settings.connect_timeout_s,
        total_timeout=settings.total_timeout_s,
        min_rate=settings.min_rate_bytes_s,
        rate_window=settings.min_rate_window_s,
        rate_grace=settings.min_rate_window_s,
        max_bytes=settings.max_body_bytes,
        max_redirects=settings.max_redirects,
        per_host_limit=settings.per_host_limit,
        body_budget_bytes=settings.body_budget_bytes,
        allowed_networks=settings.allowed_networks,
        nat64_allowed=settings.allow_nat64,
        user_agent=settings.user_agent,
    )
