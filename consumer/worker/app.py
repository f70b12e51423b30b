"""The worker: `python -m consumer` without a command. Processes messages of the queue until SIGTERM."""

import argparse
import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import structlog

from consumer import metrics
from consumer.clients import Clients, drain_all, open_clients
from consumer.command import Command
from consumer.fetching.fetcher import Fetcher, FetchPolicy
from consumer.imaging import ImagePolicy
from consumer.settings import ConsumerSettings
from consumer.worker.decode_pool import Decoder
from consumer.worker.handler import MessageHandler
from consumer.worker.pipeline import Pipeline
from consumer.worker.poller import Loop
from consumer.worker.receive_queue import ReceiveQueue
from consumer.worker.retry_policy import RetryPolicy
from consumer.worker.storage import ImageStorage
from consumer.worker.visibility_heartbeat import beat
from core.errors import DependencyUnavailable
from core.resilience.backoff import Backoff
from core.resilience.retry import retrying
from core.runtime.event_loop_monitor import EventLoopMonitor
from core.runtime.gc_tuning import freeze_gc
from core.runtime.metrics import serve_metrics
from core.runtime.signals import run_until_signal

_log = structlog.get_logger()

_QUEUE_BACKOFF = Backoff(2.0, 2.0)


async def run(settings: ConsumerSettings, _arguments: argparse.Namespace) -> int:
    async with (
        open_clients(settings) as clients,
        open_worker(settings, clients) as app,
    ):
        poller = Loop(
            app.inbox,
            app.worker,
            concurrency=settings.concurrency,
            receive_wait=settings.receive_wait_s,
            drain_grace=settings.drain_grace_s,
        )
        status = await run_until_signal(_poll(poller, app.inbox, settings), stop=poller.stop)
    _log.info("drained")
    return status


COMMAND = Command(
    name="consumer",
    help="process messages of the queue",
    settings=ConsumerSettings,
    run=run,
)


async def _poll(poller: Loop, inbox: ReceiveQueue, settings: ConsumerSettings) -> int:
    timeout = await _visibility_timeout(inbox, poller)
    if timeout is None:
        return 0
    heartbeat = asyncio.create_task(beat(inbox, timeout))
    # The heartbeat ends only by a bug. Without it, other consumers would receive the messages held here.
    heartbeat.add_done_callback(lambda _: poller.stop())
    metrics.prepare()
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


async def _visibility_timeout(inbox: ReceiveQueue, poller: Loop) -> int | None:
    """Retry until SQS answers; a restart of the process would not help. Returns None if `poller` is stopped first."""
    retries = retrying("read queue attributes", DependencyUnavailable, backoff=_QUEUE_BACKOFF)
    asking: asyncio.Task[int] = asyncio.create_task(retries(inbox.visibility_timeout))
    stopped = asyncio.create_task(poller.stopped())
    try:
        await asyncio.wait({asking, stopped}, return_when=asyncio.FIRST_COMPLETED)
        return await asking if asking.done() else None
    finally:
        asking.cancel()
        stopped.cancel()


@dataclass(frozen=True, slots=True)
class WorkerApp:
    inbox: ReceiveQueue
    worker: MessageHandler


@asynccontextmanager
async def open_worker(settings: ConsumerSettings, clients: Clients) -> AsyncIterator[WorkerApp]:
    inbox = ReceiveQueue(clients.queue)
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
        bucket=ImageStorage(clients.aws.wire.bucket(settings.bucket), settings.bucket, secret),
        tables=clients.tables,
        retries=retries,
    )
    worker = MessageHandler(
        inbox=inbox,
        pipeline=pipeline,
        tables=clients.tables,
        notifier=clients.notifier,
        retries=retries,
        max_runs_alone=settings.max_isolated_runs,
    )
    try:
        yield WorkerApp(inbox, worker)
    finally:
        await drain_all(inbox.drain())
        await fetcher.close()
        decoder.close()


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
