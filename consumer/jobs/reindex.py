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
import signal
import sys

from consumer.indexer.app import tables_of, writer_of
from consumer.indexer.settings import ReindexSettings
from consumer.jobs.index_builder import MOST_SEGMENTS, IndexBuilder
from consumer.jobs.progress import Progress
from core.aws.client import Aws, open_aws
from core.dynamodb.image_scan import ImageScan
from core.search.engine import SearchWriter

COMMAND = "reindex"


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(COMMAND, help="build the index of search anew from the tables")
    parser.add_argument(
        "--segments",
        type=int,
        default=4,
        choices=range(1, MOST_SEGMENTS + 1),
        metavar="N",
        help=f"segments of the scan, read at the same time (4; at most {MOST_SEGMENTS})",
    )
    parser.add_argument("--rate", type=_rate, default=5_000, help="rows read a second (5000)")


def _rate(text: str) -> float:
    rate = float(text)
    if not rate > 0:
        raise argparse.ArgumentTypeError("it must be above 0")
    return rate


async def run(settings: ReindexSettings, arguments: argparse.Namespace) -> int:
    """0; 1 where a document was rejected, and the new index is in place without it; 128 and the signal's number.

    A signal that comes when the new index is read changes neither the status nor the count that is told.
    """
    status: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    building = asyncio.create_task(_reindex(settings, arguments, status))
    caught: list[int] = []

    def leave(number: int) -> None:
        # Once: what is undone takes a moment, and whoever is impatient would have it done by half.
        if not caught:
            building.cancel()
        caught.append(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, leave, number)
    try:
        await building
    except asyncio.CancelledError:
        if not caught:
            raise
        if not status.done():
            sys.stderr.write("reindex: ended before its end; the index is as it was\n")
            return 128 + caught[0]
    if caught:
        sys.stderr.write("reindex: ended after the swap; the new index is read\n")
    return status.result()


async def _reindex(
    settings: ReindexSettings, arguments: argparse.Namespace, status: asyncio.Future[int]
) -> None:
    """`status` is set as soon as the new index is read."""
    async with open_aws() as aws:
        engine = writer_of(aws, settings)
        try:
            await _build(aws, engine, settings, arguments, status)
        finally:
            await engine.close()


async def _build(
    aws: Aws,
    engine: SearchWriter,
    settings: ReindexSettings,
    arguments: argparse.Namespace,
    status: asyncio.Future[int],
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
            status.set_result(1 if tally.rejected else 0)
            sys.stdout.write(f"{tally}\n")
