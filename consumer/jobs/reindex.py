"""`python -m consumer reindex`: rebuild the search index from the tables, then swap it with the index in use.

Searches use the old index until the swap, also if the command is killed. Indexers go on: the new index has what they
write during the rebuild. They wait for a moment while the last of their writes are copied. If SIGKILL hits that moment,
they wait until the command is run again. A reindex is needed after a change of what is indexed, after the search engine
lost its data, and for requests that were COMPLETED before the index existed.

Cost: a scan of the images table, strongly consistent, at one read unit per 4 KB, and one read unit for the row of each
request. With rows of 1 KB, 1 million images are 1.25 million read units (about $0.16 on demand) and take 200 s or more
at the default 5,000 rows per second.
"""

import argparse
import asyncio
import sys
from dataclasses import dataclass

from consumer.command import Command
from consumer.indexer.app import open_search_writer, open_tables
from consumer.indexer.settings import ReindexSettings
from consumer.jobs.index_builder import IndexBuilder
from consumer.jobs.options import add_scan_options
from consumer.jobs.progress import Progress
from core.aws.client import Aws, open_aws
from core.dynamodb.scan import ImageScan
from core.runtime.signals import run_until_signal
from core.search.engine import SearchWriter

_NAME = "reindex"


@dataclass(slots=True)
class Result:
    status: int | None = None
    """The exit status, set as soon as searches use the new index."""


async def run(settings: ReindexSettings, arguments: argparse.Namespace) -> int:
    """Return 0; 1 if the search engine rejected an image, which is then not in the new index; 128 + a signal's number.

    A signal after the swap changes neither the status nor the printed counts.
    """
    return await run_until_signal(_reindex(settings, arguments))


COMMAND = Command(
    name=_NAME,
    help="rebuild the search index from the tables; searches use the old index until the new one is complete",
    settings=ReindexSettings,
    run=run,
    add_arguments=add_scan_options,
)


async def _reindex(settings: ReindexSettings, arguments: argparse.Namespace) -> int:
    result = Result()
    try:
        async with open_aws() as aws:
            engine = open_search_writer(aws, settings)
            try:
                await _build(aws, engine, settings, arguments, result)
            finally:
                await engine.close()
    except asyncio.CancelledError:
        if result.status is None:
            sys.stderr.write("reindex: interrupted before the swap; the old index is in use\n")
            raise
    if _was_cancelled():
        sys.stderr.write("reindex: interrupted after the swap; the new index is in use\n")
    return result.status or 0


def _was_cancelled() -> bool:
    """Return whether this task was cancelled, even if the cancelled call finished its work."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


async def _build(
    aws: Aws,
    engine: SearchWriter,
    settings: ReindexSettings,
    arguments: argparse.Namespace,
    result: Result,
) -> None:
    scan = ImageScan(
        aws.http.dynamodb, settings.images_table, segments=arguments.segments, rate=arguments.rate
    )
    with Progress(_NAME, await scan.count()) as progress:
        async with engine.rebuild() as rebuild:
            builder = IndexBuilder(scan, open_tables(aws, settings), rebuild, progress)
            stats = await builder.run(arguments.segments)
            progress.set_status("swapping")
            await rebuild.finish()
            result.status = 1 if stats.rejected else 0
            sys.stdout.write(f"{stats}\n")
