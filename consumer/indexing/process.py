"""`python -m consumer indexer`: index what the topic tells of, until SIGTERM."""

import asyncio
import signal
from functools import partial

import structlog

from consumer.indexing import metrics
from consumer.indexing.completeness import watch
from consumer.indexing.event_queue import EventQueue
from consumer.indexing.image_scan import images_exist
from consumer.indexing.indexer import Indexer
from consumer.indexing.settings import IndexerSettings, ReindexSettings
from core.aws import Aws, open_aws
from core.garbage import settle_garbage_collection
from core.metrics import serve_metrics
from core.pulse import Pulse
from core.search.engine import SearchWriter, open_writer
from core.statements import Statements
from core.tables import Tables

COMMAND = "indexer"

_log = structlog.get_logger()


async def run(settings: IndexerSettings) -> int:
    """Neither an engine nor an AWS that is down keeps it from starting, or ends it."""
    async with open_aws() as aws:
        engine = writer_of(aws, settings)
        indexer = Indexer(
            EventQueue(aws.wire.sqs, settings.search_queue_url),
            tables_of(aws, settings),
            engine,
            receive_wait=settings.receive_wait_s,
            drain_grace=settings.drain_grace_s,
        )
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, indexer.stop)
        metrics.prepare()
        pulse = Pulse()
        beating = asyncio.create_task(pulse.run(), name="pulse")
        watching = asyncio.create_task(watch(engine), name="completeness")
        serve_metrics(settings.metrics_host, settings.metrics_port, pulse.alive)
        settle_garbage_collection()
        _log.info("indexing", queue=settings.search_queue_url, engine=settings.search_engine)
        try:
            await indexer.run()
        finally:
            beating.cancel()
            watching.cancel()
            await asyncio.wait([watching])
            await engine.close()
    _log.info("drained")
    return 0


def writer_of(aws: Aws, settings: ReindexSettings) -> SearchWriter:
    """It asks the table of images, where it makes an index, whether that is whole."""
    return open_writer(settings, partial(images_exist, aws.dynamodb, settings.images_table))


def tables_of(aws: Aws, settings: ReindexSettings) -> Tables:
    """Both tables, to be read."""
    statements = Statements(settings.requests_table, settings.images_table)
    return Tables(aws.dynamodb, aws.wire.dynamodb, statements)
