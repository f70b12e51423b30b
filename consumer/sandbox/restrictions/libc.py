"""Calls of the C library that Python's standard library lacks."""

import ctypes
import errno
import os
import platform
import sys

IS_LINUX = sys.platform == "linux"
MACHINE = {"x86_64": "x86_64", "aarch64": "arm64"}.get(platform.machine()) if IS_LINUX else None
"""The architecture whose system calls are known here, or None."""
if sys.maxsize < 2**32:
    MACHINE = None  # a 32-bit process on a 64-bit kernel

_libc = ctypes.CDLL(None, use_errno=True)
if IS_LINUX:
    _libc.syscall.restype = ctypes.c_long

PR_SET_DUMPABLE = 4
PR_SET_NO_NEW_PRIVS = 38


def prctl(option: int, value: int) -> None:
    """Change an attribute of this process (prctl(2)). Raises OSError."""
    _require_linux()
    _checked(_libc.prctl(option, *(ctypes.c_ulong(word) for word in (value, 0, 0, 0))))


def capset(header: ctypes.Structure, capabilities: ctypes.Array[ctypes.c_uint32]) -> None:
    """Set the capabilities of this thread (capset(2)). Raises OSError."""
    _require_linux()
    _checked(_libc.capset(ctypes.byref(header), capabilities))


def syscall(number: int, *arguments: int | ctypes.Structure | None) -> int:
    """Make a system call; a structure is passed by reference. Returns its result. Raises OSError."""
    _require_linux()
    words = (
        ctypes.byref(argument)
        if isinstance(argument, ctypes.Structure)
        else ctypes.c_void_p(argument)
        for argument in arguments
    )
    return _checked(_libc.syscall(ctypes.c_long(number), *words))


def _require_linux() -> None:
    if not IS_LINUX:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))


def _checked(result: int) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result
