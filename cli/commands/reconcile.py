"""`imageservice reconcile`: takes up again what was left behind. What it does is in consumer/jobs/reconcile.py."""

from pathlib import Path
from typing import Annotated

import typer

from cli.commands import jobs


def reconcile(
    *,
    margin: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS",
            help="Beyond the queue's oldest message; what is younger is left alone (3600).",
        ),
    ] = None,
    max_claims: Annotated[
        int | None, typer.Option(metavar="N", help="Claims before a request is FAILED (5).")
    ] = None,
    segments: Annotated[
        int | None, typer.Option(metavar="N", help="Segments of the scan (4, at most 16).")
    ] = None,
    rate: Annotated[
        float | None, typer.Option(metavar="ROWS", help="Rows read a second (5000).")
    ] = None,
    checkpoint: Annotated[
        Path | None,
        typer.Option(metavar="PATH", help="Keeps the scan's position, to resume from."),
    ] = None,
    ready_file: jobs.ReadyFile = None,
) -> None:
    """Take up requests that were left PENDING. No message speaks of them any more.

    Runs `python -m consumer reconcile`. Its settings come from the environment or from --ready-file, its exit code is
    this command's.
    """
    options = {
        "--margin": margin,
        "--max-claims": max_claims,
        "--segments": segments,
        "--rate": rate,
        "--checkpoint": checkpoint,
    }
    jobs.run("reconcile", options, ready_file)
