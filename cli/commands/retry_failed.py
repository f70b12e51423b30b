"""`imageservice redrive`: processes FAILED requests again. What it does is in consumer/jobs/retry_failed.py."""

from collections.abc import Sequence
from typing import Annotated

import typer

from cli import arguments
from cli.commands import jobs
from cli.errors import UsageError
from core import errors


def redrive(
    *,
    customer: Annotated[
        str | None,
        typer.Option(metavar="ID", help="Those of this customer, by the index of failures."),
    ] = None,
    request_ids: Annotated[
        list[str] | None,
        typer.Option("--request-id", metavar="ID", help="This request. Repeatable."),
    ] = None,
    failure_code: Annotated[
        str | None,
        typer.Option(metavar="CODE", help="Only those that failed with it, such as TIMEOUT."),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="With --customer: only those that failed since then."),
    ] = None,
    rate: Annotated[
        float | None, typer.Option(metavar="N", help="Requests reopened a second (500).")
    ] = None,
    ready_file: jobs.ReadyFile = None,
) -> None:
    """Process FAILED requests again: a customer's, those that are named, or all that have a dead letter.

    Runs `python -m consumer redrive`. Its settings come from the environment or from --ready-file, its exit code is
    this command's: 1 where one that is named does not exist.
    """
    options = {
        "--customer": customer,
        "--request-id": _joined(request_ids or []),
        "--failure-code": _known(failure_code),
        "--since": since,
        "--rate": rate,
    }
    if customer is not None:
        arguments.require_customer(customer)
        if request_ids:
            raise UsageError("--customer and --request-id: only one of them")
    elif since is not None:
        raise UsageError("--since goes with --customer")
    arguments.parse_time("--since", since)
    jobs.run("redrive", options, ready_file)


def _joined(given: Sequence[str]) -> str | None:
    return ",".join(map(arguments.parse_request_id, given)) or None


def _known(code: str | None) -> str | None:
    try:
        return None if code is None else errors.parse_failure_code(code)
    except ValueError as error:
        raise UsageError(f"--failure-code {error}") from None
