"""`imageservice submit`: hands over the URLs of images."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated

import typer
from rich.console import Console

from cli import address, url_list
from cli.address import AddressOption
from cli.client import connect
from cli.errors import CommandFailed, UsageFault
from cli.outcome import Outcome
from cli.report import JsonReport, LineReport, ProgressReport
from cli.submission import Submission

DEFAULT_CUSTOMER = "local"
ALL_LINES_UP_TO = 20
"""So many URLs on the command line are each worth a line on a terminal; of more, only what went wrong."""


def submit(
    urls: Annotated[list[str] | None, typer.Argument(metavar="[URL]…")] = None,
    *,
    file: Annotated[
        str | None, typer.Option("--file", metavar="PATH", help="URLs, one a line; - is stdin.")
    ] = None,
    customer: Annotated[
        str, typer.Option("--customer", metavar="ID", help="Who is asking.")
    ] = DEFAULT_CUSTOMER,
    request_id: Annotated[
        str | None,
        typer.Option("--request-id", metavar="UUID", help="For one URL: makes a repeat harmless."),
    ] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Wait for what becomes of each.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
    server: AddressOption = address.DEFAULT,
) -> None:
    """Submit images by URL. Exit 1 when one was refused or failed."""
    given = urls or []
    if not given and file is None:
        raise UsageFault("nothing to submit: give a URL, or --file")
    if request_id is not None and (len(given) != 1 or file is not None):
        raise UsageFault("--request-id goes with exactly one URL")
    where, sources = str(address.parse(server)), _all(given, file)
    with _report(given, file, as_json=as_json) as tell:
        submission = asyncio.run(
            _submit(
                where, sources, customer=customer, request_id=request_id, tell=tell, watch=watch
            )
        )
    _judge(submission, file)


def _judge(submission: Submission, file: str | None) -> None:
    """End the command by what became of the submission."""
    tally = submission.tally
    if submission.unreachable is not None:
        raise CommandFailed(
            f"stopped after {tally.read} URLs, {tally.submitted} of them submitted: "
            f"{submission.unreachable}"
        )
    if tally.read == 0:
        raise UsageFault(f"nothing to submit: no URL in {file}")
    if tally.bad:
        raise typer.Exit(1)


async def _submit(
    server: str,
    urls: AsyncIterator[str],
    *,
    customer: str,
    request_id: str | None,
    tell: Callable[[Outcome], None],
    watch: bool,
) -> Submission:
    async with connect(server) as client:
        submission = Submission(client, customer, tell, request_id=request_id, watch=watch)
        try:
            await submission.run(urls)
        except* CommandFailed as failures:
            raise _first(failures) from None
        return submission


async def _all(given: Sequence[str], file: str | None) -> AsyncIterator[str]:
    for url in given:
        yield url
    if file is not None:
        async for url in url_list.read(file):
            yield url


@contextmanager
def _report(
    given: Sequence[str], file: str | None, *, as_json: bool
) -> Iterator[Callable[[Outcome], None]]:
    console = Console()
    if as_json:
        yield JsonReport(sys.stdout).tell
    elif not console.is_terminal:
        yield LineReport(console).tell
    else:
        total = len(given) if file is None else None
        few = total is not None and total <= ALL_LINES_UP_TO
        report = ProgressReport(console, total=total, only_bad=not few)
        with report.shown():
            yield report.tell


def _first(failures: BaseExceptionGroup[CommandFailed]) -> CommandFailed:
    """Groups nest by task groups; a person is told of one fault at a time."""
    failure: BaseException = failures
    while isinstance(failure, BaseExceptionGroup):
        failure = failure.exceptions[0]
    return failure if isinstance(failure, CommandFailed) else CommandFailed(str(failure))
