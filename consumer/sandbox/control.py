"""The messages between the worker and its fork server, over a stream socket. All have the same size."""

import struct
from enum import IntEnum

MESSAGE = struct.Struct("!BIiQ")
"""A Command or a Report, the decoder's number, an argument, and a size. The worker numbers its decoders from 1."""


class Command(IntEnum):
    FORK = 1
    """Argument: the nice value. Size: the most memory for an image, in bytes, with the slack.

    Three descriptors come with it: the decoder's socket, and both ends of its stderr.
    """
    KILL = 2


class Report(IntEnum):
    FORKED = 1
    """Argument: the process id."""
    ENDED = 2
    """Argument: the exit code, negative for a signal, as in `subprocess`. The process is gone."""
    NOT_FORKED = 3
    """Argument: the errno of fork(2), for example of too many processes or too little memory."""
