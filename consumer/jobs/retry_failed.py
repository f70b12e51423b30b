"""`python -m consumer redrive`: reopen FAILED requests and process them again.

Which ones is told in one of three ways: by customer, through the index of failures, which knows all that are FAILED; by
request id; or else by the dead letters, those of all customers, for as long as SQS keeps them (14 days).

Each is reopened (FAILED → PENDING, one revision up), sent, and only then deleted from the dead letters. Cut short at
any point, a second redrive does the rest. What was reopened is not FAILED any more. What was reopened and not sent is
only sent, where its dead letter is come by or its id is given; else reconcile takes it up. The dead letter of a request
that was reopened without it is of an older revision: it reopens nothing, and is deleted.
"""

import argparse
import asyncio
import sys
from collections.abc import Sequence

import structlog

from consumer.clients import Clients, open_clients
from consumer.command import Command
from consumer.jobs import options
from consumer.jobs.failed_requests import AT_ONCE, FailedRequests
from consumer.jobs.failed_requests_queue import FailedRequestsQueue, Letter, dead_queue
from consumer.jobs.progress import Progress
from consumer.jobs.rate_limiter import Pace
from consumer.jobs.reopen import RequestReopener, Tally, failure_of
from consumer.notify.outcome import FailedRequestMessage, decode_failed_request_message
from consumer.settings import ConsumerSettings
from core.aws.sqs import SqsQueue
from core.dynamodb.indexes import TimeRange
from core.model.message import MalformedMessage
from core.runtime.clock import now_ms
from core.runtime.signals import run_until_signal

_log = structlog.get_logger()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--customer", metavar="ID", type=options.customer_id, help="those of this customer"
    )
    which.add_argument(
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
        help="only those that failed with this code",
    )
    parser.add_argument(
        "--since",
        metavar="TIME",
        type=options.past_time,
        help="with --customer: only those that failed at or after it, such as 2026-11-24T09:30:00Z",
    )
    parser.add_argument(
        "--rate", metavar="N", type=options.positive, default=500.0, help="requests a second (500)"
    )


def option_conflict(arguments: argparse.Namespace) -> str | None:
    """What of the options does not go together."""
    if arguments.since is not None and arguments.customer is None:
        return "--since goes with --customer"
    return None


async def run(settings: ConsumerSettings, arguments: argparse.Namespace) -> int:
    """0; 1 where there is no such request; 2 for options that do not go together; 128 and the signal's number."""
    if fault := option_conflict(arguments):
        sys.stderr.write(f"redrive: {fault}\n")
        return 2
    tally = Tally()
    try:
        return await run_until_signal(_redrive(settings, arguments, tally))
    finally:
        sys.stdout.write(f"{tally}\n")


COMMAND = Command(
    name="retry-failed",
    help="reopen FAILED requests and process them again",
    settings=ConsumerSettings,
    run=run,
    add_arguments=add_arguments,
    aliases=("redrive",),
)


async def _redrive(settings: ConsumerSettings, arguments: argparse.Namespace, tally: Tally) -> int:
    try:
        async with open_clients(settings) as clients:
            return await _reopen_chosen(Redrive(clients, arguments, tally), settings, arguments)
    except asyncio.CancelledError:
        sys.stderr.write("redrive: ended before its end; run again, it does the rest\n")
        raise


async def _reopen_chosen(
    redrive: "Redrive", settings: ConsumerSettings, arguments: argparse.Namespace
) -> int:
    if arguments.customer is not None:
        await redrive.of_customer(arguments.customer, arguments.since or 0)
    elif arguments.request_id is not None:
        await redrive.named(list(dict.fromkeys(arguments.request_id)))
    else:
        await redrive.out_of_letters(settings.failed_requests_queue_url)
    return redrive.status


class Redrive:
    """`status` is the command's exit status."""

    def __init__(self, clients: Clients, arguments: argparse.Namespace, tally: Tally) -> None:
        self._clients = clients
        self._tally = tally
        self._pace = Pace(arguments.rate)
        self._failures = FailedRequests(
            clients.tables, clients.aws.wire.dynamodb, arguments.failure_code
        )
        self._reopening = RequestReopener(clients, arguments.failure_code, tally)
        self._unknown = 0

    @property
    def status(self) -> int:
        return 1 if self._unknown else 0

    async def of_customer(self, customer_id: str, since: int) -> None:
        """Those that failed from `since`, in ms since the epoch, until now: what fails again meanwhile is not."""
        with Progress("redrive", None) as progress:
            async for found in self._failures.of_customer(customer_id, TimeRange(since, now_ms())):
                self._tally.passed_over(other_code=found.other_code, moved_on=found.moved_on)
                await self._reopen([failure_of(request) for request in found.requests])
                progress.advance(self._tally.looked_at, self._tally)

    async def named(self, request_ids: Sequence[str]) -> None:
        with Progress("redrive", len(request_ids)) as progress:
            for at in range(0, len(request_ids), AT_ONCE):
                ids = request_ids[at : at + AT_ONCE]
                requests = {each.request_id: each for each in await self._failures.read(ids)}
                for unknown in [each for each in ids if each not in requests]:
                    self._unknown += 1
                    sys.stderr.write(
                        f"redrive: there is no request {unknown}, or none to be read\n"
                    )
                await self._reopen([failure_of(request) for request in requests.values()])
                progress.advance(self._tally.looked_at, self._tally)

    async def out_of_letters(self, queue_url: str) -> None:
        """Those that are in the queue. What is passed over is there for others again at the end."""
        async with dead_queue(SqsQueue(self._clients.aws.wire.sqs, queue_url)) as queue:
            with Progress("redrive", await queue.waiting()) as progress:
                async for letters in queue.batches():
                    await self._reopen_letters(queue, letters)
                    progress.advance(self._tally.looked_at, self._tally)
        if queue.not_handed_out:
            sys.stderr.write(
                f"redrive: about {queue.not_handed_out} letters were not handed out, because so many of another code "
                "are held; give --customer\n"
            )

    async def _reopen_letters(self, queue: FailedRequestsQueue, letters: Sequence[Letter]) -> None:
        read = [(letter, dead) for letter in letters if (dead := _decode(letter))]
        self._tally.passed_over(at_fault=len(letters) - len(read))
        done = await self._reopening.reopen_all([dead for _, dead in read])
        await queue.delete([letter for (letter, _), gone in zip(read, done, strict=True) if gone])
        await self._pace.spend(sum(done))

    async def _reopen(self, failures: Sequence[FailedRequestMessage | None]) -> None:
        failed = [each for each in failures if each is not None]
        self._tally.passed_over(moved_on=len(failures) - len(failed))
        await self._reopening.reopen_all(failed)
        await self._pace.spend(len(failed))


def _decode(letter: Letter) -> FailedRequestMessage | None:
    try:
        return decode_failed_request_message(letter.body)
    except MalformedMessage:
        _log.exception("left in the dead-letter queue", body=letter.body[:200])
        return None
