"""`python -m consumer`: work on the queue until SIGTERM.

`reconcile` and `redrive` are the operator's commands, `queue-exporter` tells Prometheus of the queues. `indexer` keeps
the index of search up with the tables, `reindex` builds it anew.
"""

import argparse
import asyncio
import contextlib
import sys
from collections.abc import Coroutine
from typing import Any

import structlog
import uvloop
from botocore.exceptions import BotoCoreError

from consumer import metrics
from consumer.exporter import queue_exporter
from consumer.indexer import app as indexer
from consumer.indexer.settings import IndexerSettings, ReindexSettings
from consumer.jobs import reconcile, reindex, retry_failed
from consumer.settings import ConsumerSettings
from consumer.worker.app import open_stores, open_workplace
from consumer.worker.poller import Loop
from consumer.worker.receive_queue import ReceiveQueue
from consumer.worker.visibility_heartbeat import beat
from core.errors import DependencyUnavailable
from core.resilience.backoff import Backoff
from core.resilience.retry import retrying
from core.runtime.event_loop_monitor import EventLoopMonitor
from core.runtime.gc_tuning import freeze_gc
from core.runtime.logging import configure_logs
from core.runtime.metrics import serve_metrics
from core.runtime.signals import run_until_signal
from core.settings import load

_log = structlog.get_logger()

_QUEUE_BACKOFF = Backoff(2.0, 2.0)


def main() -> int:
    arguments = _parser().parse_args()
    try:
        return uvloop.run(_work(arguments))
    except (DependencyUnavailable, OSError) as error:
        sys.stderr.write(f"{error}\n")
    except BotoCoreError as error:
        # Calls end as DependencyUnavailable, so this is about the SDK's own settings: no region, no credentials.
        sys.stderr.write(f"AWS: {error}\n")
    return 1


def _work(arguments: argparse.Namespace) -> Coroutine[Any, Any, int]:
    if arguments.command == queue_exporter.COMMAND:
        exporter = load(queue_exporter.QueueExporterSettings)
        configure_logs(exporter.log_level, exporter.log_format, queue_exporter.COMMAND)
        return queue_exporter.run(exporter)
    if arguments.command == indexer.COMMAND:
        indexing = load(IndexerSettings)
        configure_logs(indexing.log_level, indexing.log_format, indexer.COMMAND)
        return indexer.run(indexing)
    if arguments.command == reindex.COMMAND:
        rebuilding = load(ReindexSettings)
        configure_logs(rebuilding.log_level, rebuilding.log_format, reindex.COMMAND)
        return reindex.run(rebuilding, arguments)
    settings = load(ConsumerSettings)
    configure_logs(settings.log_level, settings.log_format, "consumer")
    if arguments.command is None:
        return _consume(settings)
    command = {"reconcile": reconcile.run, "redrive": retry_failed.run}[arguments.command]
    return command(settings, arguments)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="consumer", description=__doc__)
    commands = parser.add_subparsers(dest="command")
    reconcile.add_parser(commands)
    retry_failed.add_parser(commands)
    commands.add_parser(queue_exporter.COMMAND, help="tell Prometheus how full the queues are")
    commands.add_parser(indexer.COMMAND, help="keep the index of search up with the tables")
    reindex.add_parser(commands)
    return parser


async def _consume(settings: ConsumerSettings) -> int:
    async with open_stores(settings) as stores, open_workplace(settings, stores) as workplace:
        loop = Loop(
            workplace.inbox,
            workplace.worker,
            concurrency=settings.concurrency,
            receive_wait=settings.receive_wait_s,
            drain_grace=settings.drain_grace_s,
        )
        status = await run_until_signal(_poll(loop, workplace.inbox, settings), stop=loop.stop)
    _log.info("drained")
    return status


async def _poll(loop: Loop, inbox: ReceiveQueue, settings: ConsumerSettings) -> int:
    timeout = await _visibility_timeout(inbox, loop)
    if timeout is None:
        return 0
    heartbeat = asyncio.create_task(beat(inbox, timeout))
    # It ends only by a fault; without it others would be given what is held here.
    heartbeat.add_done_callback(lambda _: loop.stop())
    metrics.prepare()
    pulse = EventLoopMonitor()
    beating = asyncio.create_task(pulse.run(), name="pulse")
    await asyncio.sleep(0)  # Its first beat comes before the first message.
    # Last, because a scrape that answers says that this consumer is at work.
    serve_metrics(settings.metrics_host, settings.metrics_port, pulse.alive)
    freeze_gc()
    _log.info("consuming", queue=settings.queue_url, concurrency=settings.concurrency)
    try:
        await loop.run()
    finally:
        beating.cancel()
        heartbeat.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await heartbeat
    return 0


async def _visibility_timeout(inbox: ReceiveQueue, loop: Loop) -> int | None:
    """Retry until SQS answers; a restart of the process would not help. Returns None if `loop` is stopped first."""
    retries = retrying("read queue attributes", DependencyUnavailable, backoff=_QUEUE_BACKOFF)
    asking: asyncio.Task[int] = asyncio.create_task(retries(inbox.visibility_timeout))
    stopped = asyncio.create_task(loop.stopped())
    try:
        await asyncio.wait({asking, stopped}, return_when=asyncio.FIRST_COMPLETED)
        return await asking if asking.done() else None
    finally:
        asking.cancel()
        stopped.cancel()


if __name__ == "__main__":
    sys.exit(main())
