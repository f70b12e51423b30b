"""What ends a command. Each is told to the person as one line on stderr, without a traceback.

    CommandFailed           exit 1: it was tried and did not work
    ├── OutputClosed        exit 1, silently: whoever read the output has enough
    ├── UsageError          exit 2: what was asked for cannot be tried
    └── Stopped             exit 130: Ctrl-C; the line says how far it came

`str()` is the line; an empty one is not printed.
"""

from typing import ClassVar

from core.errors import ImageServiceError


class CommandFailed(ImageServiceError):
    exit_code: ClassVar[int] = 1


class UsageError(CommandFailed):
    exit_code: ClassVar[int] = 2


class OutputClosed(CommandFailed):
    """The output's reader has gone, as in `| head -1`."""


class Stopped(CommandFailed):
    exit_code: ClassVar[int] = 130
    """What a shell reports for a command that SIGINT ended."""
