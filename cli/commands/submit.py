"""`imageservice submit`: submit the URLs of images."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Annotated

import typer
from google.protobuf.duration_pb2 import Duration

from cli import arguments, url_file
from cli.arguments import AddressOption, CustomerOption, JsonOption, parse_labels
from cli.client.client import Client, connect
from cli.client.submit_stream import MAX_UNANSWERED_ITEMS, open_submit_stream
from cli.commands.bulk_submit import BulkSubmit
from cli.errors import CommandFailed, Stopped, UsageError
from cli.output.outcome import RequestView
from cli.output.report import JsonReport, Output, ProgressReport, TextReport
from cli.output.stats import SubmitStats
from imageservice.v1 import image_service_pb2 as pb

MAX_REUSE_S = 30 * 86_400
"""The contract's limit of reuse_within."""

Urls = Annotated[
    list[str] | None, typer.Argument(metavar="URL", help="URL of an image: http, https, or s3.")
]
UrlFile = Annotated[
    str | None,
    typer.Option(
        "--file", metavar="PATH", help="A file with one URL per line; - is standard input."
    ),
]
RequestId = Annotated[
    str | None,
    typer.Option(
        "--request-id",
        metavar="UUID",
        help="The id for a single URL; it makes a repeat idempotent.",
    ),
]
Labels = Annotated[
    list[str] | None,
    typer.Option(
        "--label", metavar="KEY=VALUE", help="Repeatable: labels by which searches find the images."
    ),
]
Renditions = Annotated[
    list[str] | None,
    typer.Option(
        "--rendition", metavar="PRESET", help="Repeatable: presets of the renditions to make."
    ),
]
NotAfter = Annotated[
    str | None,
    typer.Option(
        "--not-after",
        metavar="TIME",
        help="The time until which the URLs are valid (ISO 8601, UTC); later they are not fetched.",
    ),
]
ReuseWithin = Annotated[
    int | None,
    typer.Option(
        "--reuse-within",
        metavar="SECONDS",
        min=1,
        max=MAX_REUSE_S,
        help="Reuse an image of this customer and URL that was fetched at most this long ago.",
    ),
]
Bulk = Annotated[
    bool,
    typer.Option(
        "--bulk",
        help="Send the requests to the bulk lane. They use nothing of the customer's interactive rate. Without this "
        "option, only requests beyond that rate go to the bulk lane.",
    ),
]
WatchOption = Annotated[
    bool, typer.Option("--watch", help="Wait for the final state of each image.")
]


def submit(
    urls: Urls = None,
    *,
    file: UrlFile = None,
    customer: CustomerOption = arguments.DEFAULT_CUSTOMER,
    chosen_id: RequestId = None,
    given_labels: Labels = None,
    renditions: Renditions = None,
    not_after: NotAfter = None,
    reuse_within: ReuseWithin = None,
    bulk: Bulk = False,
    watch: WatchOption = False,
    to_json: JsonOption = False,
    server: AddressOption = arguments.DEFAULT_ADDRESS,
) -> None:
    """Submit images by URL. Exit 1 if one was refused or failed."""
    given, where = urls or [], str(arguments.parse_address(server))
    _require(given, file, customer)
    chosen = _only_id(chosen_id, given, file)
    common = pb.SubmitImageRequest(
        customer_id=customer,
        labels=parse_labels(given_labels or []),
        renditions=renditions,
        lane=pb.LANE_BULK if bulk else pb.LANE_UNSPECIFIED,
        not_after=arguments.parse_time("--not-after", not_after),
        reuse_within=None if reuse_within is None else Duration(seconds=reuse_within),
    )
    create = partial(BulkSubmit, common=common, request_id=chosen, watch=watch)
    _judge(_run(where, given, file, create, to_json=to_json), file)


def _require(given: Sequence[str], file: str | None, customer: str) -> None:
    if not given and file is None:
        raise UsageError("nothing to submit: give a URL, or --file")
    if "-" in given:
        raise UsageError("- is not a URL; for URLs from standard input give --file -")
    arguments.require_customer(customer)


def _only_id(chosen: str | None, given: Sequence[str], file: str | None) -> str | None:
    if chosen is not None and (len(given) != 1 or file is not None):
        raise UsageError("--request-id goes with exactly one URL")
    return None if chosen is None else arguments.parse_request_id(chosen)


def _run(
    server: str,
    given: Sequence[str],
    file: str | None,
    create: Callable[..., BulkSubmit],
    *,
    to_json: bool,
) -> BulkSubmit:
    """Submit all URLs and report each of them. Raises Stopped if the user interrupts it."""
    stats = SubmitStats()
    with _report(given, file, stats, to_json=to_json) as report:
        submission = partial(create, report=report, stats=stats)
        try:
            return asyncio.run(
                _submit(server, _all(given, file), submission, many=file is not None)
            )
        except KeyboardInterrupt:
            raise Stopped(stats.progress_summary) from None


def _judge(submission: BulkSubmit, file: str | None) -> None:
    """End the command with the exit code that the result requires."""
    stats, source_error = submission.stats, submission.source_error
    if source_error is not None:
        raise (
            source_error
            if stats.read == 0
            else CommandFailed(f"{source_error}; {stats.progress_summary}")
        )
    if submission.server_unreachable is not None:
        # The line of each URL has shown the cause.
        raise CommandFailed(stats.progress_summary)
    if stats.read == 0:
        where = "on standard input" if file == "-" else f"in {file}"
        raise UsageError(f"nothing to submit: no URL {where}")
    if stats.errors:
        raise typer.Exit(1)


async def _submit(
    server: str, urls: AsyncIterator[str], create: Callable[[Client], BulkSubmit], *, many: bool
) -> BulkSubmit:
    async with connect(server) as client, open_submit_stream(client) as stream:
        submission = create(client)
        if many:
            submission.submits, submission.at_once = stream, MAX_UNANSWERED_ITEMS
        try:
            await submission.run(urls)
        except BaseExceptionGroup as failures:
            expected, other = failures.split(CommandFailed)
            if expected is None or other is not None:
                raise
            raise _first(expected) from None
        return submission


async def _all(given: Sequence[str], file: str | None) -> AsyncIterator[str]:
    for url in given:
        yield url
    if file is not None:
        async for url in url_file.read(file):
            yield url


@contextmanager
def _report(
    given: Sequence[str], file: str | None, stats: SubmitStats, *, to_json: bool
) -> Iterator[Callable[[RequestView], None]]:
    output = Output()
    # A progress bar would overwrite the text that is being typed.
    typed = file == "-" and sys.stdin.isatty()
    if to_json:
        yield JsonReport(sys.stdout).report
    elif not output.is_terminal or typed:
        yield TextReport(output).report
    else:
        report = ProgressReport(output, stats, len(given) if file is None else None)
        with report.shown():
            yield report.report


def _first(failures: BaseExceptionGroup[CommandFailed]) -> CommandFailed:
    """Return the first error. Task groups nest their errors, and the command prints only one."""
    failure: BaseException = failures
    while isinstance(failure, BaseExceptionGroup):
        failure = failure.exceptions[0]
    return failure if isinstance(failure, CommandFailed) else CommandFailed(str(failure))
