"""Errors that end a command. Each is printed as one line on stderr, without a traceback.

    CommandFailed           exit 1: the operation failed
    ├── OutputClosed        exit 1, without a message: the reader of the output has closed it
    ├── UsageError          exit 2: the arguments are not valid
    └── Stopped             exit 130: Ctrl-C; the line says how much was done

`str()` is the line; an empty line is not printed.
"""

from typing import ClassVar

from core.errors import ImageServiceError


class CommandFailed(ImageServiceError):
    exit_code: ClassVar[int] = 1


class UsageError(CommandFailed):
    exit_code: ClassVar[int] = 2


class OutputClosed(CommandFailed):
    """The reader of the output has closed it, as `| head -1` does."""


class Stopped(CommandFailed):
    exit_code: ClassVar[int] = 130
    """The status that a shell reports for a command that SIGINT ended."""
