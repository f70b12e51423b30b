"""Operators' commands. Each one is `python -m consumer COMMAND`, with the arguments passed through."""

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from cli.local import ready_file as files


@dataclass(frozen=True, slots=True)
class Job:
    name: str
    help: str
    role: str = "operator"
    """Access key for the embedded AWS: an emulator takes any key, and the test suite reads the role from it."""
    alias: str | None = None


JOBS = (
    Job("reconcile", "Send orphaned PENDING requests again, or fail them."),
    Job("retry-failed", "Reopen FAILED requests and process them again.", alias="redrive"),
    Job("reindex", "Rebuild the search index from the tables.", role="indexer"),
)

_HELP = """\
Usage: imageservice {name} [--ready-file PATH] [OPTIONS]

  --ready-file PATH  Take the settings from the file that `imageservice up --ready-file` writes.
                     By default, they are environment variables; docs/reference.md lists them.

Runs `python -m consumer {name}` with all other options; its exit status is the status of this command.

"""

_PASS_THROUGH = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}


def register(app: typer.Typer) -> None:
    for job in JOBS:
        help_text = f"{job.help} Alias: {job.alias}." if job.alias else job.help
        for name in filter(None, (job.name, job.alias)):
            app.command(
                name, help=help_text, hidden=name == job.alias, context_settings=_PASS_THROUGH
            )(_command(job))


def _command(job: Job) -> Callable[..., None]:
    def run(
        context: typer.Context,
        ready_file: Annotated[Path | None, typer.Option("--ready-file", metavar="PATH")] = None,
    ) -> None:
        exec_job(job, context.args, ready_file)

    return run


def exec_job(job: Job, arguments: Sequence[str], ready_file: Path | None) -> NoReturn:
    """Replace this process by `python -m consumer COMMAND`. Raises UsageError if the ready file cannot be read."""
    environ = dict(os.environ)
    if ready_file is not None:
        environ |= files.read_environment(ready_file)
        environ["AWS_ACCESS_KEY_ID"] = job.role
    if {"-h", "--help"} & set(arguments):
        sys.stdout.write(_HELP.format(name=job.name))
        sys.stdout.flush()
    elif "REQUESTS_TABLE" not in environ:
        # The consumer names every missing variable and exits with status 2, but it does not know --ready-file.
        sys.stderr.write(
            "imageservice: REQUESTS_TABLE is not set: settings come from --ready-file PATH or from the environment "
            "variables that docs/reference.md lists\n"
        )
    command = [sys.executable, "-m", "consumer", job.name, *arguments]
    # Replaced instead of started: signals and the exit status need no forwarding.
    os.execve(sys.executable, command, environ)  # noqa: S606  our own module, no shell
