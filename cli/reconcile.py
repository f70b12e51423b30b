"""`imageservice reconcile`: takes up again what was left behind."""

import os
import sys

import typer

FORWARDING = {"allow_extra_args": True, "ignore_unknown_options": True}
"""Arguments are the consumer's to understand."""


def reconcile(context: typer.Context) -> None:
    """Take up requests that were left PENDING and that no message speaks of any more.

    Runs `python -m consumer reconcile` with the same arguments and environment, which must hold the consumer's
    settings. Its exit code is this command's.
    """
    command = [sys.executable, "-m", "consumer", "reconcile", *context.args]
    # Replaced, not started: signals and the exit code need no forwarding.
    os.execv(sys.executable, command)  # noqa: S606  our own module, no shell
