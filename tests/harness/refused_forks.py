"""An examiner whose import lets the system refuse some forks of its process, as at a limit of processes.

Only the fork server imports it. Its decoders follow a script.
"""

import errno
import itertools
import os

from harness.scripted_decoder import examine_by_script as examine

__all__ = ["examine"]

_REFUSED = range(2, 5)
"""The numbers of these forks. A pool of two decoders starts with 0 and 1."""

_numbers = itertools.count()
_fork = os.fork


def _fork_sometimes() -> int:
    if next(_numbers) in _REFUSED:
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
    return _fork()


os.fork = _fork_sometimes
