"""`python -m consumer indexer`: indexes the images of COMPLETED requests until SIGTERM."""

import argparse
import asyncio
from contextlib import suppress
from functools import partial

import structlog

from consumer.command import Command
from consumer.indexer import metrics
from consumer.indexer.event_queue import EventQueue
from consumer.indexer.indexer import Indexer
from consumer.indexer.metrics import INCOMPLETE
from consumer.indexer.settings import IndexerSettings, ReindexSettings
from core.aws.client import Aws, open_aws
from core.aws.sqs import SqsQueue
from core.dynamodb.scan import images_exist
from core.dynamodb.statements import Statements
from core.dynamodb.tables import Tables
from core.errors import DependencyUnavailable
from core.runtime.event_loop_monitor import EventLoopMonitor
from core.runtime.gc_tuning import freeze_gc
from core.runtime.metrics import serve_metrics
from core.runtime.signals import run_until_signal
from core.search.engine import SearchWriter, open_writer

_COMPLETENESS_INTERVAL_S = 10.0
"""About the scrape interval. A check costs the engine a lookup of aliases."""

_log = structlog.get_logger()


async def run(settings: IndexerSettings, _arguments: argparse.Namespace) -> int:
    """Run the indexer. It starts, and goes on, while the engine or AWS is down."""
    async with open_aws() as aws:
        engine = open_search_writer(aws, settings)
        indexer = Indexer(
            EventQueue(SqsQueue(aws.http.sqs, settings.search_queue_url)),
            open_tables(aws, settings),
            engine,
            receive_wait=settings.receive_wait_s,
            drain_grace=settings.drain_grace_s,
        )
        status = await run_until_signal(_index(indexer, engine, settings), stop=indexer.stop)
    _log.info("drained")
    return status


COMMAND = Command(
    name="indexer",
    help="keep the search index up to date with the tables",
    settings=IndexerSettings,
    run=run,
)


async def _index(indexer: Indexer, engine: SearchWriter, settings: IndexerSettings) -> int:
    metrics.initialise()
    monitor = EventLoopMonitor()
    monitoring = asyncio.create_task(monitor.run(), name="event loop monitor")
    reporting = asyncio.create_task(report_index_completeness(engine), name="completeness")
    serve_metrics(settings.metrics_host, settings.metrics_port, monitor.alive)
    freeze_gc()
    _log.info("indexing", queue=settings.search_queue_url, engine=settings.search_engine)
    try:
        await indexer.run()
    finally:
        monitoring.cancel()
        reporting.cancel()
        await asyncio.wait([reporting])
        await engine.close()
    return 0


async def report_index_completeness(engine: SearchWriter) -> None:
    """Export `search_index_incomplete` periodically. A separate program, `reindex`, completes the index."""
    while True:
        # While the engine is down, the gauge keeps its value, and the indexer logs the outage.
        with suppress(DependencyUnavailable):
            INCOMPLETE.set(await engine.incomplete())
        await asyncio.sleep(_COMPLETENESS_INTERVAL_S)


def open_search_writer(aws: Aws, settings: ReindexSettings) -> SearchWriter:
    """Open the engine. When it creates an index, it asks the table of images whether the index is complete."""
    return open_writer(settings, partial(images_exist, aws.http.dynamodb, settings.images_table))


def open_tables(aws: Aws, settings: ReindexSettings) -> Tables:
    statements = Statements(settings.requests_table, settings.images_table)
    return Tables(aws.http.dynamodb, statements)
