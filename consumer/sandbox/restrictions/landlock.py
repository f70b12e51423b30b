"""Landlock: no access to files, TCP ports, and processes outside (landlock(7)). Linux 5.13 and later.

It is independent of seccomp: it checks objects instead of system calls, so it also covers calls that the seccomp filter
allows by mistake. Descriptors that are open stay usable.
"""

import ctypes
import os

from consumer.sandbox.restrictions import libc

_CREATE_RULESET, _RESTRICT_SELF = 444, 446
"""The same numbers on all architectures."""
_GET_VERSION = 1

_NEWEST_VERSION = 7
"""The last one that was tested. It adds no right; a newer kernel accepts the rights of this one."""

_FILE_RIGHTS = {1: 0x1FFF, 2: 0x3FFF, 3: 0x7FFF, 5: 0xFFFF}
"""All rights on files, by the version that introduced the last one: refer in 2, truncate in 3, ioctl in 5."""
_TCP_RIGHTS = {4: 0b11}
"""Bind and connect."""
_SCOPES = {6: 0b11}
"""Abstract Unix sockets and signals of processes outside."""


class _Ruleset(ctypes.Structure):
    _fields_ = (
        ("handled_access_fs", ctypes.c_uint64),
        ("handled_access_net", ctypes.c_uint64),
        ("scoped", ctypes.c_uint64),
    )


def kernel_version() -> int:
    """Return the version (ABI) of the kernel's Landlock; 0 if it has none, or has it disabled."""
    try:
        return libc.syscall(_CREATE_RULESET, None, 0, _GET_VERSION)
    except OSError:
        return 0


def deny_access_to_objects(max_version: int = _NEWEST_VERSION) -> None:
    """Deny all that the kernel's Landlock can deny, to the calling thread and to threads that it starts.

    max_version: use no rights that are newer.

    Requires `deny_new_privileges`. Call it while the process has one thread. Raises OSError if the kernel has no
    Landlock, or has it disabled.
    """
    version = min(kernel_version(), max_version)
    ruleset = _Ruleset(
        _newest(_FILE_RIGHTS, version), _newest(_TCP_RIGHTS, version), _newest(_SCOPES, version)
    )
    # An old kernel accepts the unknown fields of a newer structure if they are 0.
    descriptor = libc.syscall(_CREATE_RULESET, ruleset, ctypes.sizeof(ruleset), 0)
    try:
        libc.syscall(_RESTRICT_SELF, descriptor, 0)
    finally:
        os.close(descriptor)


def _newest(rights: dict[int, int], version: int) -> int:
    """Return the rights of the newest version that is not above `version`, or 0."""
    return max((bits for introduced, bits in rights.items() if introduced <= version), default=0)
