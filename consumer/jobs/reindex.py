"""`python -m consumer reindex`: build the index anew from the tables, beside the one that is read, and swap them.

Searches are answered from the old index until the swap, and so they are if this is killed. What indexers write
meanwhile is in the new one; while the last of it is copied, for a moment, they wait. If this is killed by SIGKILL in
that moment, they wait until it is run again. Needed after a change of what is indexed, after an engine lost its data,
and for what was COMPLETED before there was an index.

Cost: a scan of the images at one read unit for 4 KB, strongly consistent, and each request's row at one. Rows of 1 KB:
1 million images are 1.25 million read units (about $0.16 on demand) and take 200 s or more at the default 5,000 rows a
second.
"""

import argparse
import asyncio
import sys
from dataclasses import dataclass

from consumer.command import Command
from consumer.indexer.app import tables_of, writer_of
from consumer.indexer.settings import ReindexSettings
from consumer.jobs.index_builder import IndexBuilder
from consumer.jobs.options import add_scan_options
from consumer.jobs.progress import Progress
from core.aws.client import Aws, open_aws
from core.dynamodb.image_scan import ImageScan
from core.runtime.signals import run_until_signal
from core.search.engine import SearchWriter


@dataclass(slots=True)
class Result:
    status: int | None = None
    """The exit status, set as soon as searches read the new index."""


async def run(settings: ReindexSettings, arguments: argparse.Namespace) -> int:
    """0; 1 where a document was rejected, and the new index is in place without it; 128 and the signal's number.

    A signal that comes when the new index is read changes neither the status nor the count that is told.
    """
    return await run_until_signal(_reindex(settings, arguments))


COMMAND = Command(
    name="reindex",
    help="rebuild the search index from the tables; searches use the old index until the new one is complete",
    settings=ReindexSettings,
    run=run,
    add_arguments=add_scan_options,
)


async def _reindex(settings: ReindexSettings, arguments: argparse.Namespace) -> int:
    result = Result()
    try:
        async with open_aws() as aws:
            engine = writer_of(aws, settings)
            try:
                await _build(aws, engine, settings, arguments, result)
            finally:
                await engine.close()
    except asyncio.CancelledError:
        if result.status is None:
            sys.stderr.write("reindex: ended before its end; the index is as it was\n")
            raise
    if _cancelled():
        sys.stderr.write("reindex: ended after the swap; the new index is read\n")
    return result.status or 0


def _cancelled() -> bool:
    """Return whether this task was cancelled, also if the code that it ran at that moment finished its work."""
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
        aws.dynamodb, settings.images_table, segments=arguments.segments, rate=arguments.rate
    )
    with Progress("reindex", await scan.count()) as progress:
        async with engine.rebuild() as rebuild:
            refill = IndexBuilder(scan, tables_of(aws, settings), rebuild, progress)
            tally = await refill.run(arguments.segments)
            progress.say("swapping")
            await rebuild.finish()
            result.status = 1 if tally.rejected else 0
            sys.stdout.write(f"{tally}\n")
