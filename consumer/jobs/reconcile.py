"""`python -m consumer reconcile`: take up what was left behind.

A request whose message is alive is left alone: it is younger than the queue's oldest message, or its row was touched
when its message was last received (see worker.TOUCH_AFTER_S).

Two kinds of request are left behind: those whose message was never sent (the server died between the two writes), and
those whose message nobody could process (it is in the queue of undelivered messages). The first are claimed and sent
again; the second, and those claimed too often, end FAILED UNDELIVERABLE.

Cost: one scan of the table of requests at half a read unit for 4 KB, eventually consistent. Rows of 1 KB: 1 million
rows are 125,000 read units (about $0.02) and take 200 s at the default 5,000 rows a second; 100 million are 12.5
million units (about $1.60) and take 5.6 h, or less at a higher --rate. Segments are read beside one another under
that one rate; it is met while a page of 1,000 rows takes less than 1,000 * segments / rate seconds, 0.8 by default. The
filter runs in DynamoDB: only what is left behind travels.
"""

import argparse
import asyncio
import contextlib
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import structlog

from consumer.clients import Clients, open_clients
from consumer.command import Command
from consumer.jobs import options
from consumer.jobs.failed_requests_queue import Letter, dead_queue
from consumer.jobs.queue_age import oldest_age
from consumer.jobs.rate_limiter import Pace
from consumer.jobs.stale_scan import Checkpoint, StaleScan
from consumer.notify.finalize import fail_request
from consumer.settings import ConsumerSettings
from core.aws.sqs import SqsQueue
from core.dynamodb.tables import ConditionNotMet
from core.errors import RequestRejected, Undeliverable
from core.model.message import ImageMessage, MalformedMessage, decode_message, first_message
from core.model.request import ImageRequest
from core.runtime.clock import now_ms
from core.runtime.signals import run_until_signal

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Tally:
    """What one run did."""

    resent: int = 0
    failed: int = 0

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(self.resent + other.resent, self.failed + other.failed)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--margin",
        type=float,
        default=3_600,
        help="seconds beyond the queue's oldest message (3600). Keep it above 1500: a living message may be delayed "
        "for 900, and shows itself only every 600",
    )
    parser.add_argument(
        "--max-claims", type=int, default=5, help="claims before a request is FAILED (5)"
    )
    options.add_scan_options(parser)
    parser.add_argument(
        "--checkpoint", type=Path, help="file that keeps the scan's position, to resume from"
    )


async def run(settings: ConsumerSettings, arguments: argparse.Namespace) -> int:
    """0; 128 and the number of the signal that ended it. It may be cut short anywhere: the next run does the rest."""
    return await run_until_signal(_reconcile(settings, arguments))


COMMAND = Command(
    name="reconcile",
    help="send orphaned PENDING requests again, or fail them",
    settings=ConsumerSettings,
    run=run,
    add_arguments=add_arguments,
)


async def _reconcile(settings: ConsumerSettings, arguments: argparse.Namespace) -> int:
    async with open_clients(settings) as clients:
        tally = await fail_undelivered(clients, settings.dlq_url)
        age = await oldest_age(clients.queue, clients.aws.cloudwatch, settings.queue_url)
        checkpoint = Checkpoint(arguments.checkpoint, arguments.segments)
        scan = StaleScan(
            clients.aws.dynamodb,
            settings.requests_table,
            cutoff=now_ms() - round((age + arguments.margin) * 1000),
            segments=arguments.segments,
            pace=Pace(arguments.rate),
            checkpoint=checkpoint,
        )
        tally += await _take_up_all(clients, scan, arguments)
        checkpoint.clear()
    sys.stdout.write(
        f"{scan.rows_read} rows read, {tally.resent} requests sent again, {tally.failed} failed\n"
    )
    return 0


async def _take_up_all(clients: Clients, scan: StaleScan, arguments: argparse.Namespace) -> Tally:
    """Raises DependencyUnavailable where a segment could not be read, once the others are: they are checkpointed."""

    async def take_up_segment(segment: int) -> Tally:
        tally = Tally()
        async for page in scan.pages(segment):
            for request in page:
                tally += await _take_up_or_skip(clients, request, arguments.max_claims)
            _log.info("reconciling", segment=segment, rows_read=scan.rows_read, resent=tally.resent)
        return tally

    segments = [take_up_segment(segment) for segment in range(arguments.segments)]
    tally = Tally()
    for each in await asyncio.gather(*segments, return_exceptions=True):
        if isinstance(each, BaseException):
            raise each
        tally += each
    return tally


async def _take_up_or_skip(clients: Clients, request: ImageRequest, max_claims: int) -> Tally:
    try:
        return await take_up(clients, request, max_claims)
    except RequestRejected as rejection:
        # One row that a service will not take must not keep reconcile from the others.
        _log.error("cannot be taken up", request_id=request.request_id, error=str(rejection))
        return Tally()


async def take_up(clients: Clients, request: ImageRequest, max_claims: int) -> Tally:
    """Claim one request and send it again, or fail it after `max_claims`."""
    message = replace(first_message(request), resent=True)
    if request.claims >= max_claims:
        # Sent first: should this process die in between, whoever receives the message tells of the end.
        with contextlib.suppress(RequestRejected):
            await clients.queue.send(message.encode())
        return await _fail(clients, message)
    try:
        await clients.tables.write(clients.tables.statements.claim(request, now=now_ms()))
    except ConditionNotMet:
        # A worker, or another reconcile, was there first.
        return Tally()
    await clients.queue.send(message.encode())
    return Tally(resent=1)


async def fail_undelivered(clients: Clients, queue_url: str) -> Tally:
    """Fail the PENDING requests of what the redrive policy moved away; what is no message of ours stays."""
    tally = Tally()
    async with dead_queue(SqsQueue(clients.aws.wire.sqs, queue_url)) as queue:
        async for letters in queue.batches():
            done: list[Letter] = []
            for letter in letters:
                try:
                    tally += await _fail(clients, decode_message(letter.body))
                except (MalformedMessage, RequestRejected):
                    _log.exception(
                        "left in the queue of undelivered messages", body=letter.body[:200]
                    )
                else:
                    done.append(letter)
            await queue.delete(done)
    return tally


async def _fail(clients: Clients, message: ImageMessage) -> Tally:
    failed = await fail_request(
        clients.tables, clients.notifier, message, Undeliverable(), message.attempts
    )
    return Tally(failed=int(failed))
