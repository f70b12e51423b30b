"""An operator's command: the consumer's own, in its environment, under this command's name."""

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from cli.commands import required_settings
from cli.local import ready_file as files

ReadyFile = Annotated[
    Path | None,
    typer.Option(
        "--ready-file",
        metavar="PATH",
        help="Take the settings from the file that `imageservice up --ready-file` writes, "
        "not from the environment alone.",
    ),
]


def run(
    command: str,
    options: Mapping[str, object],
    ready_file: Path | None,
    *,
    needed: Sequence[str] = required_settings.NAMES,
    role: str = "operator",
) -> NoReturn:
    """Become `python -m consumer COMMAND`; an option that is None is left to the consumer. Raises UsageError."""
    environ = dict(os.environ)
    if ready_file is not None:
        environ |= files.read_environment(ready_file)
        # As roles.py does for the system's own processes: an emulator takes any key, and the suite reads a role in it.
        environ["AWS_ACCESS_KEY_ID"] = role
    required_settings.require(environ, needed)
    # Replaced, not started: signals and the exit code need no forwarding.
    os.execve(sys.executable, command_line(command, options), environ)  # noqa: S606  our own module, no shell


def command_line(command: str, options: Mapping[str, object]) -> list[str]:
    # One word each, so that a value that begins with a hyphen is still one.
    given = [f"{name}={value}" for name, value in options.items() if value is not None]
    return [sys.executable, "-m", "consumer", command, *given]
