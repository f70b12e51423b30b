"""The worker, `python -m consumer` without a command: processes messages of the queue until SIGTERM."""

import argparse
import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass

import structlog

from consumer import metrics
from consumer.byte_budget import ByteBudget
from consumer.clients import Clients, drain_all, open_clients
from consumer.command import Command
from consumer.fetching.fetcher import Fetcher, FetchPolicy
from consumer.fetching.s3_origin import ObjectOrigin
from consumer.imaging.policy import ImagePolicy
from consumer.imaging.result import RENDITIONS_BYTES_MAX
from consumer.private_origins.watch import WatchedFile
from consumer.sandbox.admission import Admission
from consumer.sandbox.decode_pool import DecodePool, open_decode_pool
from consumer.sandbox.restrictions import protect_from_children
from consumer.settings import ConsumerSettings
from consumer.worker.decoder import Decoder
from consumer.worker.handler import MessageHandler
from consumer.worker.journal import DeathCounter, JournalFolder, default_folder
from consumer.worker.pipeline import Pipeline
from consumer.worker.polling.poller import Poller
from consumer.worker.receive_queue import ReceiveQueue
from consumer.worker.renditions import RenditionPublisher
from consumer.worker.retry_policy import RetryPolicy
from consumer.worker.reuse import ImageReuse
from consumer.worker.runner import MessageRunner
from consumer.worker.storage import ImageStorage
from core.errors import DependencyUnavailable
from core.redis.shared_limits import SharedLimits
from core.resilience.backoff import Backoff
from core.resilience.retry import retrying
from core.runtime.event_loop_monitor import EventLoopMonitor
from core.runtime.gc_tuning import freeze_gc
from core.runtime.malloc_tuning import return_large_blocks
from core.runtime.metrics import serve_metrics
from core.runtime.signals import run_until_signal

_log = structlog.get_logger()

_QUEUE_BACKOFF = Backoff(2.0, 2.0)


async def run(settings: ConsumerSettings, _arguments: argparse.Namespace) -> int:
    protect_from_children()
    return_large_blocks()
    metrics.CONCURRENCY.set(settings.concurrency)
    # The decoders start first: no credentials have been loaded yet.
    async with (
        _open_decode_pool(settings) as decoder,
        open_clients(settings) as clients,
        open_worker(settings, clients, decoder) as app,
    ):
        app.queue.export_metrics()
        app.poller.export_metrics()
        status = await run_until_signal(_poll(app, settings), stop=app.poller.stop)
    _log.info("drained")
    return status


COMMAND = Command(
    name="consumer", help="process messages of the queue", settings=ConsumerSettings, run=run
)


@dataclass(frozen=True, slots=True)
class WorkerApp:
    queue: ReceiveQueue
    poller: Poller
    deaths: DeathCounter


async def _poll(app: WorkerApp, settings: ConsumerSettings) -> int:
    poller = app.poller
    visibility_timeout = await _prepare(app)
    if visibility_timeout is None:
        return 0
    heartbeat = asyncio.create_task(app.queue.extend_visibility_forever(visibility_timeout))
    # The heartbeat ends only by a bug. Without it, other consumers would receive the messages held here.
    heartbeat.add_done_callback(lambda _: poller.stop())
    metrics.initialise()
    monitor = EventLoopMonitor()
    monitoring = asyncio.create_task(monitor.run(), name="event loop monitor")
    await asyncio.sleep(0)  # Let the monitor sample once before the first message.
    # Metrics are served last: a successful scrape means that this consumer receives messages.
    serve_metrics(settings.metrics_host, settings.metrics_port, monitor.alive)
    freeze_gc()
    _log.info("consuming", queue=settings.queue_url, concurrency=settings.concurrency)
    try:
        await poller.run()
    finally:
        monitoring.cancel()
        heartbeat.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await heartbeat
    return 0


async def _prepare(app: WorkerApp) -> int | None:
    """Count the deaths of earlier processes, and return the queue's visibility timeout in seconds.

    Retry until DynamoDB and SQS answer; a restart of the process would not help. Returns None if it is stopped first.
    """

    async def ask() -> int:
        # First, so that no image is decoded whose last death is not counted yet.
        await app.deaths.count()
        return await app.queue.visibility_timeout()

    retries = retrying("prepare to receive", DependencyUnavailable, backoff=_QUEUE_BACKOFF)
    asking: asyncio.Task[int] = asyncio.create_task(retries(ask))
    stopped = asyncio.create_task(app.poller.wait_until_stopped())
    try:
        await asyncio.wait({asking, stopped}, return_when=asyncio.FIRST_COMPLETED)
        return await asking if asking.done() else None
    finally:
        asking.cancel()
        stopped.cancel()


def _open_decode_pool(settings: ConsumerSettings) -> AbstractAsyncContextManager[DecodePool]:
    return open_decode_pool(
        image_policy(settings),
        decoders=settings.decoders,
        budget_bytes=settings.decode_budget_bytes,
        cpu_limit_s=settings.decode_cpu_limit_s,
        admission=Admission(max(1, settings.decoders - 1)),
    )


@asynccontextmanager
async def open_worker(
    settings: ConsumerSettings, clients: Clients, decoder: Decoder
) -> AsyncIterator[WorkerApp]:
    queue = ReceiveQueue(clients.queue, clients.bulk_queue)
    folder = JournalFolder(settings.journal_dir or default_folder(settings.queue_url))
    deaths = DeathCounter(clients.tables, folder, folder.open_journal())
    async with _open_fetcher(settings, clients) as fetcher:
        try:
            handler = _handler(
                settings, clients, queue=queue, fetcher=fetcher, decoder=decoder, deaths=deaths
            )
            poller = Poller(
                queue,
                handler,
                MessageRunner(queue),
                concurrency=settings.concurrency,
                receive_wait=settings.receive_wait_s,
                drain_grace=settings.drain_grace_s,
            )
            yield WorkerApp(queue, poller, deaths)
        finally:
            await drain_all(queue.drain())
            deaths.close()


@asynccontextmanager
async def _open_fetcher(settings: ConsumerSettings, clients: Clients) -> AsyncIterator[Fetcher]:
    """Open the fetcher with the private origins, and keep these up to date."""
    private = WatchedFile(settings.credentials_file)
    metrics.FAULTY_CREDENTIALS_FILE.set_function(lambda: private.faulty)
    watching = asyncio.create_task(private.poll_forever(), name="watch the credentials file")
    policy = fetch_policy(settings)
    objects = ObjectOrigin(
        clients.aws.http.bucket,
        private.allows_object,
        max_bytes=policy.max_bytes,
        timeout=policy.total_timeout,
    )
    fetcher = Fetcher(
        policy,
        credentials_for=private.headers_for,
        fetch_object=objects.fetch,
        shared=_shared_limits(settings, clients),
    )
    fetcher.export_metrics()
    try:
        yield fetcher
    finally:
        watching.cancel()
        await fetcher.close()
        objects.close()


def _shared_limits(settings: ConsumerSettings, clients: Clients) -> SharedLimits | None:
    if clients.redis is None:
        return None
    return SharedLimits(clients.redis, settings.requests_table, settings.per_host_limit)


def _handler(
    settings: ConsumerSettings,
    clients: Clients,
    *,
    queue: ReceiveQueue,
    fetcher: Fetcher,
    decoder: Decoder,
    deaths: DeathCounter,
) -> MessageHandler:
    secret = settings.customer_tag_key.get_secret_value().encode()
    objects = clients.aws.http.bucket(settings.bucket)
    storage = ImageStorage(objects, settings.bucket, secret)
    retry_policy = RetryPolicy(
        settings.max_attempts, settings.retry_delay_s, settings.origin_patience_s
    )
    renditions = _renditions(settings, clients, storage, fetcher, decoder)
    rules = reuse_rules(settings)
    pipeline = Pipeline(
        fetcher=fetcher,
        decoder=decoder,
        storage=storage,
        renditions=renditions,
        reuse=ImageReuse(clients.tables, storage, rules=rules, reserve_body=fetcher.reserve),
        tables=clients.tables,
        retry_policy=retry_policy,
    )
    return MessageHandler(
        queue=queue,
        pipeline=pipeline,
        renditions=renditions,
        tables=clients.tables,
        notifier=clients.notifier,
        retry_policy=retry_policy,
        deaths=deaths,
        max_deaths=settings.max_isolated_runs,
    )


def _renditions(
    settings: ConsumerSettings,
    clients: Clients,
    storage: ImageStorage,
    fetcher: Fetcher,
    decoder: Decoder,
) -> RenditionPublisher:
    return RenditionPublisher(
        presets=settings.presets,
        decoder=decoder,
        storage=storage,
        tables=clients.tables,
        budget=ByteBudget(rendition_budget_bytes(settings)),
        reserve_body=fetcher.reserve,
    )


def rendition_budget_bytes(settings: ConsumerSettings) -> int:
    """Return the memory for renditions that are not stored yet: of an image in each decoder, and of two more."""
    return (settings.decoders + 2) * RENDITIONS_BYTES_MAX


def image_policy(settings: ConsumerSettings) -> ImagePolicy:
    return ImagePolicy(
        max_pixels=settings.max_pixels,
        max_frames=settings.max_frames,
        accept_missing_end=settings.accept_missing_end,
        verification=settings.verification,
        metadata=settings.metadata_policy,
        presets=settings.presets,
    )


def reuse_rules(settings: ConsumerSettings) -> str:
    """Return the rules by which images are accepted. An image that was accepted by others is fetched again."""
    return f"{image_policy(settings).rules} {','.join(settings.respect_x_robots_tag)}"


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
        respected_opt_outs=settings.respect_x_robots_tag,
    )
