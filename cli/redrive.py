"""`imageservice redrive`: processes FAILED requests again. What it does is in consumer/redrive.py."""

from typing import Annotated

import typer

from cli import operation


def redrive(
    failure_code: Annotated[
        str | None,
        typer.Option(metavar="CODE", help="Only those that failed with it, such as TIMEOUT."),
    ] = None,
    ready_file: operation.ReadyFile = None,
) -> None:
    """Process FAILED requests again. They are reopened out of the dead letters.

    Runs `python -m consumer redrive`. Its settings come from the environment or from --ready-file, its exit code is
    this command's.
    """
    operation.run("redrive", {"--failure-code": failure_code}, ready_file)
