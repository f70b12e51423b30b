"""What ends a command. Each is told to the person as one line on stderr, without a traceback.

    CommandFailed           exit 1: it was tried and did not work
    └── UsageFault          exit 2: what was asked for cannot be tried

`str()` is the line.
"""

from typing import ClassVar

from core.errors import ImageServiceError


class CommandFailed(ImageServiceError):
    exit_code: ClassVar[int] = 1


class UsageFault(CommandFailed):
    exit_code: ClassVar[int] = 2
