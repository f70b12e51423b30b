"""`python -m consumer reconcile`: rescue orphaned PENDING requests.

A request that still has a message is left alone: it is younger than the oldest message of both lanes, or its row was
touched when its message was last received (see TOUCH_AFTER_S in consumer/worker/handler.py).

A request is orphaned if its message was never sent, because the server died between its two writes. It is claimed and
sent again; one that was claimed too often ends FAILED UNDELIVERABLE. A message that no worker could process is in the
DLQ: see consumer/jobs/dlq.py.

Cost: one scan of the requests table, eventually consistent, at half a read unit per 4 KB. With rows of 1 KB, 1 million
rows are 125,000 read units (about $0.02) and take 200 s at the default 5,000 rows per second; 100 million rows are 12.5
million units (about $1.60) and take 5.6 h, or less at a higher --rate. All segments share that rate. They reach it
while a page of 1,000 rows takes less than 1,000 * segments / rate seconds, 0.8 s by default. DynamoDB applies the
filter, so only orphaned rows cross the network.
"""

import argparse
import asyncio
import contextlib
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import structlog

from consumer.clients import Clients, open_clients
from consumer.command import Command
from consumer.jobs import options
from consumer.jobs.dlq import claim_request, process_dlq
from consumer.jobs.stale_scan import Checkpoint, StaleScan
from consumer.notify.finalize import fail_request
from consumer.run import Run
from consumer.settings import ConsumerSettings
from core.answers import MalformedAnswer, member
from core.aws.client import Aws, call
from core.aws.sqs import SqsQueue
from core.dynamodb.tables import ConditionNotMet
from core.errors import RequestRejected, Undeliverable
from core.model.message import first_message
from core.model.request import ImageRequest
from core.resilience.rate_limiter import RateLimiter
from core.runtime.clock import now_ms
from core.runtime.signals import run_until_signal

_COUNTS = (
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesNotVisible",
    "ApproximateNumberOfMessagesDelayed",
)
_RETENTION = "MessageRetentionPeriod"
_METRIC_WINDOW_S = 900
_MAX_RETENTION_S = 1_209_600
"""Longest retention period of SQS, for a queue that does not report its own."""

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class ReconcileStats:
    resent: int = 0
    failed: int = 0

    def __add__(self, other: "ReconcileStats") -> "ReconcileStats":
        return ReconcileStats(self.resent + other.resent, self.failed + other.failed)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--margin",
        metavar="SECONDS",
        type=float,
        default=3_600,
        help="how much older than the queue's oldest message a request must be (3600). Keep it above 1500: a message "
        "may be delayed for 900 s, and a worker touches the row every 600 s only",
    )
    parser.add_argument(
        "--max-claims",
        metavar="N",
        type=int,
        default=5,
        help="claims after which a request is FAILED (5)",
    )
    options.add_scan_options(parser)
    parser.add_argument(
        "--checkpoint",
        metavar="PATH",
        type=Path,
        help="file for the position of the scan; the next run resumes from it",
    )


async def run(settings: ConsumerSettings, arguments: argparse.Namespace) -> int:
    """Return 0, or 128 + the number of the signal that interrupted the run. The next run does the rest."""
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
        # Measured first: messages from the DLQ are younger, and CloudWatch has no age yet of a queue that was empty.
        age = await _oldest_message_age_s(clients, settings)
        cutoff = now_ms() - round((age + arguments.margin) * 1000)
        dlq = await process_dlq(clients, settings.dlq_url, max_claims=arguments.max_claims)
        checkpoint = Checkpoint(arguments.checkpoint, arguments.segments)
        scan = StaleScan(
            clients.aws.http.dynamodb,
            settings.requests_table,
            cutoff=cutoff,
            segments=arguments.segments,
            rate_limiter=RateLimiter(arguments.rate),
            checkpoint=checkpoint,
        )
        stats = await _rescue_all(clients, scan, arguments)
        checkpoint.clear()
    sys.stdout.write(
        f"{scan.rows_read} rows read, {stats.resent + dlq.sent_back} messages sent again "
        f"({dlq.sent_back} from the DLQ), {stats.failed + dlq.failed} requests failed\n"
    )
    return 0


async def _oldest_message_age_s(clients: Clients, settings: ConsumerSettings) -> float:
    """Return the age in seconds of the oldest message of both lanes."""
    age = await _age_in_queue_s(clients.aws, clients.queue, settings.queue_url)
    if clients.bulk_queue is None or settings.bulk_queue_url is None:
        return age
    return max(age, await _age_in_queue_s(clients.aws, clients.bulk_queue, settings.bulk_queue_url))


async def _age_in_queue_s(aws: Aws, queue: SqsQueue, queue_url: str) -> float:
    """Return the age of the queue's oldest message in seconds, or more if it is unknown.

    An empty queue has 0. Otherwise it is CloudWatch's ApproximateAgeOfOldestMessage. If that has no value, it is the
    queue's retention period, the age that no message exceeds.
    """
    attributes = await queue.attributes(*_COUNTS, optional=(_RETENTION,))
    if not any(attributes[name] for name in _COUNTS):
        return 0
    measured = await measured_age_s(aws, queue_url.rsplit("/", 1)[-1])
    if measured is not None:
        return measured
    return attributes.get(_RETENTION, _MAX_RETENTION_S)


async def measured_age_s(aws: Aws, queue_name: str) -> float | None:
    """Return CloudWatch's age of the queue's oldest message in seconds, None if it has none.

    Raises DependencyUnavailable or RequestRejected.
    """
    now = now_ms() // 1000
    metric = {
        "Namespace": "AWS/SQS",
        "MetricName": "ApproximateAgeOfOldestMessage",
        "Dimensions": [{"Name": "QueueName", "Value": queue_name}],
    }
    stat = {"Metric": metric, "Period": 60, "Stat": "Maximum"}
    members = {
        "MetricDataQueries": [{"Id": "age", "MetricStat": stat}],
        "StartTime": now - _METRIC_WINDOW_S,
        "EndTime": now,
    }
    answer = aws.http.cloudwatch.invoke("GetMetricData", members)
    return await call("cloudwatch:GetMetricData", answer, _decode_highest)


def _decode_highest(answer: Mapping[str, Any]) -> float | None:
    """Decode a GetMetricData of one query: its highest value, None if it has no values."""
    (result,) = member(answer, "MetricDataResults", list)
    values = member(result, "Values", list)
    if not all(type(value) in (int, float) for value in values):
        raise MalformedAnswer("a value that is no number")
    return max(values, default=None)


async def _rescue_all(
    clients: Clients, scan: StaleScan, arguments: argparse.Namespace
) -> ReconcileStats:
    """Rescue the requests of all segments, in parallel.

    Raises DependencyUnavailable if a segment cannot be read. The other segments are read to their end first, and
    checkpointed.
    """

    async def rescue_segment(segment: int) -> ReconcileStats:
        stats = ReconcileStats()
        async for page in scan.pages(segment):
            for request in page:
                stats += await _rescue_or_skip(clients, request, arguments.max_claims)
            _log.info(
                "page scanned", segment=segment, rows_read=scan.rows_read, resent=stats.resent
            )
        return stats

    segments = [rescue_segment(segment) for segment in range(arguments.segments)]
    stats = ReconcileStats()
    for each in await asyncio.gather(*segments, return_exceptions=True):
        if isinstance(each, BaseException):
            raise each
        stats += each
    return stats


async def _rescue_or_skip(
    clients: Clients, request: ImageRequest, max_claims: int
) -> ReconcileStats:
    try:
        return await _rescue_request(clients, request, max_claims)
    except RequestRejected as rejection:
        # AWS rejects this row or its message; the other rows are rescued all the same.
        _log.error("request not rescued", request_id=request.request_id, error=str(rejection))
        return ReconcileStats()


async def _rescue_request(
    clients: Clients, request: ImageRequest, max_claims: int
) -> ReconcileStats:
    """Claim a request and send it again, or fail it after `max_claims` claims."""
    message = replace(first_message(request), resent=True)
    if request.claims >= max_claims:
        # Sent first: if this process dies between the failure and its notification, the worker that receives the
        # message notifies.
        with contextlib.suppress(RequestRejected):
            await clients.backlog_queue.send(message.encode(), group=message.customer_id)
        failed = await fail_request(
            clients.tables, clients.notifier, message, Undeliverable(), Run.of(message)
        )
        return ReconcileStats(failed=int(failed))
    try:
        await claim_request(clients.tables, request)
    except ConditionNotMet:
        # A worker, or another reconcile, has written the row since the scan.
        return ReconcileStats()
    await clients.backlog_queue.send(message.encode(), group=message.customer_id)
    return ReconcileStats(resent=1)
