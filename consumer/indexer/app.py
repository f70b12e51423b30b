"""`python -m consumer indexer`: index what the topic tells of, until SIGTERM."""

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
from core.dynamodb.image_scan import images_exist
from core.dynamodb.statements import Statements
from core.dynamodb.tables import Tables
from core.errors import DependencyUnavailable
from core.runtime.event_loop_monitor import EventLoopMonitor
from core.runtime.gc_tuning import freeze_gc
from core.runtime.metrics import serve_metrics
from core.runtime.signals import run_until_signal
from core.search.engine import SearchWriter, open_writer

# Whether the index has all that was there before it, told again and again: another process makes it whole.

EVERY_S = 10.0
"""About as often as anybody scrapes; a look costs an engine a question about names."""


async def watch(engine: SearchWriter, *, every: float = EVERY_S) -> None:
    """Without end. `every` is in seconds."""
    while True:
        # The indexer needs the same engine, and says so where it is down. Until it answers, what was known holds.
        with suppress(DependencyUnavailable):
            INCOMPLETE.set(await engine.incomplete())
        await asyncio.sleep(every)


_log = structlog.get_logger()


async def run(settings: IndexerSettings, _arguments: argparse.Namespace) -> int:
    """Neither an engine nor an AWS that is down keeps it from starting, or ends it."""
    async with open_aws() as aws:
        engine = writer_of(aws, settings)
        indexer = Indexer(
            EventQueue(SqsQueue(aws.http.sqs, settings.search_queue_url)),
            tables_of(aws, settings),
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
    metrics.prepare()
    pulse = EventLoopMonitor()
    beating = asyncio.create_task(pulse.run(), name="pulse")
    watching = asyncio.create_task(watch(engine), name="completeness")
    serve_metrics(settings.metrics_host, settings.metrics_port, pulse.alive)
    freeze_gc()
    _log.info("indexing", queue=settings.search_queue_url, engine=settings.search_engine)
    try:
        await indexer.run()
    finally:
        beating.cancel()
        watching.cancel()
        await asyncio.wait([watching])
        await engine.close()
    return 0


def writer_of(aws: Aws, settings: ReindexSettings) -> SearchWriter:
    """It asks the table of images, where it makes an index, whether that is whole."""
    return open_writer(settings, partial(images_exist, aws.dynamodb, settings.images_table))


def tables_of(aws: Aws, settings: ReindexSettings) -> Tables:
    """Both tables, to be read."""
    statements = Statements(settings.requests_table, settings.images_table)
    return Tables(aws.dynamodb, aws.http.dynamodb, statements)
