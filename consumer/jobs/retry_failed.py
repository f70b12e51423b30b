"""`python -m consumer retry-failed`: reopen FAILED requests and process them again.

The requests are selected in one of three ways. By customer: the index of failures has all requests that are FAILED. By
request id. Otherwise, all messages of the failed-requests queue, which SQS keeps for 14 days.

A request that was selected by customer or id first has its outcome published once more, under the same notification id,
because SNS may have been down when it failed. If that fails, it stays FAILED: the command tries again for half a minute
and then ends with status 1, and an outcome that SNS rejects counts as an error. The outcome of a request in the
failed-requests queue was published before its message was sent there.

Each request is reopened (FAILED → PENDING at the next revision), then its message is sent, and only then its message in
the failed-requests queue is deleted. The command can be interrupted at any point, and a second run does the rest. A
request that was reopened is not FAILED any more. If its message was not sent, a second run sends it when it reads the
failed-requests message or is given the id; otherwise `reconcile` sends it. A failed-requests message whose revision is
older than the request's reopens nothing, and is deleted.
"""

import argparse
import asyncio
import sys
from collections.abc import Sequence

import structlog

from consumer.clients import Clients, open_clients
from consumer.command import Command
from consumer.jobs import options
from consumer.jobs.failed_requests import CONCURRENCY, FailedRequestFinder
from consumer.jobs.progress import Progress
from consumer.jobs.queue_reader import QueueReader, open_queue_reader
from consumer.jobs.reopen import RequestReopener, Retry, RetryStats, retry_of
from consumer.notify.outcome import FailedRequestMessage, decode_failed_request_message
from consumer.settings import ConsumerSettings
from core.aws.sqs import IncomingMessage, SqsQueue
from core.dynamodb.index_query import TimeRange
from core.model.message import MalformedMessage
from core.resilience.rate_limiter import RateLimiter
from core.runtime.clock import now_ms
from core.runtime.signals import run_until_signal

_NAME = "retry-failed"
_log = structlog.get_logger()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    selection = parser.add_mutually_exclusive_group()
    selection.add_argument(
        "--customer", metavar="ID", type=options.customer_id, help="requests of this customer"
    )
    selection.add_argument(
        "--request-id",
        metavar="ID[,ID...]",
        type=options.request_ids,
        action="extend",
        help="these requests; repeatable",
    )
    parser.add_argument(
        "--failure-code",
        metavar="CODE",
        type=options.failure_code,
        help="only requests that failed with this code, such as TIMEOUT",
    )
    parser.add_argument(
        "--since",
        metavar="TIME",
        type=options.past_time,
        help="with --customer: only requests that failed at this time or later, such as 2026-11-24T09:30:00Z",
    )
    parser.add_argument(
        "--rate",
        metavar="N",
        type=options.positive,
        default=500.0,
        help="requests reopened per second (500)",
    )


def option_conflict(arguments: argparse.Namespace) -> str | None:
    if arguments.since is not None and arguments.customer is None:
        return "--since goes with --customer"
    return None


async def run(settings: ConsumerSettings, arguments: argparse.Namespace) -> int:
    """Return 0; 1 if a requested id has no request; 2 for conflicting options; 128 + the number of a signal."""
    if conflict := option_conflict(arguments):
        _complain(conflict)
        return 2
    stats = RetryStats()
    try:
        return await run_until_signal(_retry(settings, arguments, stats))
    finally:
        sys.stdout.write(f"{stats}\n")


COMMAND = Command(
    name=_NAME,
    help="reopen FAILED requests and process them again",
    settings=ConsumerSettings,
    run=run,
    add_arguments=add_arguments,
    aliases=("redrive",),
)


async def _retry(
    settings: ConsumerSettings, arguments: argparse.Namespace, stats: RetryStats
) -> int:
    try:
        async with open_clients(settings) as clients:
            retry = FailedRequestRetry(clients, arguments, stats)
            if arguments.customer is not None:
                await retry.by_customer(arguments.customer, arguments.since or 0)
            elif arguments.request_id is not None:
                await retry.by_id(list(dict.fromkeys(arguments.request_id)))
            else:
                await retry.from_queue(settings.failed_requests_queue_url)
    except asyncio.CancelledError:
        _complain("interrupted; run it again to retry the rest")
        raise
    return 1 if stats.unknown else 0


class FailedRequestRetry:
    def __init__(self, clients: Clients, arguments: argparse.Namespace, stats: RetryStats) -> None:
        self._clients = clients
        self._stats = stats
        self._rate_limiter = RateLimiter(arguments.rate)
        self._finder = FailedRequestFinder(clients.tables, arguments.failure_code)
        self._reopener = RequestReopener(clients, arguments.failure_code, stats)

    async def by_customer(self, customer_id: str, since: int) -> None:
        """Retry requests that failed from `since`, in ms since the epoch, until now.

        A request that fails again during the run is left to the next one.
        """
        failed = TimeRange(since, now_ms())
        with Progress(_NAME, None) as progress:
            async for page in self._finder.find_by_customer(customer_id, failed):
                self._stats.skip(other_code=page.other_code, no_longer_failed=page.no_longer_failed)
                await self._reopen([retry_of(request) for request in page.requests])
                progress.advance(self._stats.examined, self._stats)

    async def by_id(self, request_ids: Sequence[str]) -> None:
        with Progress(_NAME, len(request_ids)) as progress:
            for at in range(0, len(request_ids), CONCURRENCY):
                ids = request_ids[at : at + CONCURRENCY]
                requests = {each.request_id: each for each in await self._finder.read(ids)}
                for unknown in [each for each in ids if each not in requests]:
                    self._stats.unknown += 1
                    _complain(f"request {unknown} does not exist or cannot be read")
                await self._reopen([retry_of(request) for request in requests.values()])
                progress.advance(self._stats.examined, self._stats)

    async def from_queue(self, queue_url: str) -> None:
        """Retry the requests of all messages in the queue. Messages of skipped requests are released at the end."""
        async with open_queue_reader(SqsQueue(self._clients.aws.http.sqs, queue_url)) as reader:
            with Progress(_NAME, await reader.visible_count()) as progress:
                async for messages in reader.batches():
                    await self._reopen_messages(reader, messages)
                    progress.advance(self._stats.examined, self._stats)
        if reader.not_received:
            _complain(
                f"SQS did not deliver about {reader.not_received} messages, because too many messages with another "
                "failure code are in flight; use --customer"
            )

    async def _reopen_messages(
        self, reader: QueueReader, messages: Sequence[IncomingMessage]
    ) -> None:
        decoded = [(message, failed) for message in messages if (failed := _decode(message))]
        self._stats.skip(errors=len(messages) - len(decoded))
        results = await self._reopener.reopen_all([Retry(failed) for _, failed in decoded])
        done = [
            message for (message, _), finished in zip(decoded, results, strict=True) if finished
        ]
        await reader.delete(done)
        await self._rate_limiter.acquire(len(done))

    async def _reopen(self, retries: Sequence[Retry | None]) -> None:
        failed = [each for each in retries if each is not None]
        self._stats.skip(no_longer_failed=len(retries) - len(failed))
        await self._reopener.reopen_all(failed)
        await self._rate_limiter.acquire(len(failed))


def _decode(message: IncomingMessage) -> FailedRequestMessage | None:
    try:
        return decode_failed_request_message(message.body)
    except MalformedMessage:
        _log.exception("message left in the failed-requests queue", body=message.body[:200])
        return None


def _complain(text: str) -> None:
    sys.stderr.write(f"{_NAME}: {text}\n")
