"""Attributes of a process that the kernel checks: capabilities, new privileges, access by other processes. Linux."""

import ctypes

from consumer.sandbox.restrictions import libc

_CAPABILITY_VERSION_3 = 0x20080522
_CAPABILITY_WORDS = 6
"""Effective, permitted and inheritable, 64 bits each."""


class _CapabilityHeader(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


def deny_access() -> None:
    """Make this process inaccessible to processes of the same user.

    They cannot read its memory, its environment or its descriptors in /proc, and cannot trace it (ptrace(2), "Ptrace
    access mode checking"). It does not dump core either. A process with CAP_SYS_PTRACE keeps its access. exec ends
    this state, so each program calls this when it starts; a forked process inherits it. Raises OSError.
    """
    libc.prctl(libc.PR_SET_DUMPABLE, 0)


def deny_new_privileges() -> None:
    """Let no exec of this process grant privileges. seccomp and Landlock require it. Raises OSError."""
    libc.prctl(libc.PR_SET_NO_NEW_PRIVS, 1)


def drop_capabilities() -> None:
    """Drop all capabilities. Only a process of root has any. Raises OSError."""
    header = _CapabilityHeader(_CAPABILITY_VERSION_3, 0)
    libc.capset(header, (ctypes.c_uint32 * _CAPABILITY_WORDS)())
