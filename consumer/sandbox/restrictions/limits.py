"""Resource limits of a decoder (setrlimit(2)). The worker measures CPU time, because RLIMIT_CPU never starts again.

A decoder sets its hard limits. The worker moves the soft limit of its memory: seccomp denies that to the decoder.
"""

import re
import resource
import sys
from pathlib import Path

from consumer.sandbox.restrictions import libc

_STACK_BYTES = 8 * 1024 * 1024
SLACK_BYTES = 16 * 1024 * 1024
"""Memory above that of an image: what the allocator keeps of earlier images, and fragmentation."""
_STEP_BYTES = 8 * 1024 * 1024
_ADDRESS_BYTES = 8 * 1024**3
"""Address space beyond the memory limit, for reservations: malloc reserves 128 MiB for a thread's first arena. Without
a limit, page tables of empty memory, which RLIMIT_DATA does not count, could take gigabytes; these take 16 MiB."""


def limit_resources(memory_bytes: int) -> None:
    """Limit the memory of this process to what it has now and `memory_bytes` more; deny writes to files.

    The memory limit is RLIMIT_DATA: private writable memory, touched or not, including the stacks of threads
    (RLIMIT_STACK at the start of the program, usually 8 MiB each). Beyond it malloc fails. macOS does not enforce it.
    RLIMIT_FSIZE is 0, so writes to a regular file fail with EFBIG; standard error should be a pipe.
    """
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_FSIZE, 0)
    _limit(resource.RLIMIT_STACK, _STACK_BYTES)
    if libc.IS_LINUX:
        status = Path("/proc/self/status").read_text(encoding="utf-8")
        _limit(resource.RLIMIT_DATA, _bytes(status, "VmData") + memory_bytes)
        _limit(resource.RLIMIT_AS, _bytes(status, "VmSize") + memory_bytes + _ADDRESS_BYTES)


def limit_for(image_bytes: int) -> int:
    """Return the memory that a decoder may have for an image beyond its own, in bytes.

    It is rounded up, so that most images do not change the limit.
    """
    return -(-image_bytes // _STEP_BYTES) * _STEP_BYTES + SLACK_BYTES


class MemoryLimit:
    """The soft memory limit of another process of the same user, for one image after another (prlimit(2)).

    data_bytes: private writable memory of the process without an image.
    """

    def __init__(self, pid: int, data_bytes: int) -> None:
        self._pid = pid
        self._data_bytes = data_bytes
        self._soft = 0

    def allow(self, image_bytes: int) -> bool:
        """Allow this much memory for an image, within the hard limit. Returns False if the system does not permit it.

        The pid may be that of a process which has ended. Linux assigns a number again after all others, so no other
        process has it before the worker knows of the end.
        """
        if sys.platform != "linux":
            return False
        soft = self._data_bytes + limit_for(image_bytes)
        if soft == self._soft:
            return True
        try:
            _, hard = resource.prlimit(self._pid, resource.RLIMIT_DATA)
            within = soft if hard == resource.RLIM_INFINITY else min(soft, hard)
            resource.prlimit(self._pid, resource.RLIMIT_DATA, (within, hard))
        except ProcessLookupError:
            return True
        except PermissionError:
            return False
        self._soft = soft
        return True


def deny_new_descriptors() -> None:
    """Deny new descriptors, also under the number of one that was closed. Open ones stay usable, except by poll(2).

    The process must use blocking calls, without time-outs.
    """
    _limit(resource.RLIMIT_NOFILE, 0)


def _limit(kind: int, value: int) -> None:
    hard = resource.getrlimit(kind)[1]
    if hard != resource.RLIM_INFINITY:
        value = min(value, hard)
    resource.setrlimit(kind, (value, value))


def _bytes(status: str, name: str) -> int:
    found = re.search(rf"^{name}:\s+(\d+) kB$", status, re.MULTILINE)
    assert found is not None, f"proc(5): /proc/self/status has {name}"  # noqa: S101  the kernel's format
    return int(found[1]) * 1024
