"""seccomp: a filter of system calls, as a list of what is allowed (seccomp(2)). Linux, x86-64 and arm64.

A call that is not on the list fails with EPERM, so that a library that tries it uses its fallback. A call in another
calling convention (32-bit, x32) ends the process, because its numbers mean other calls.
"""

import ctypes
import errno
import os
from collections.abc import Iterable

from consumer.sandbox.restrictions import libc
from consumer.sandbox.restrictions.syscalls import Check, Syscall, allowed_syscalls

SECCOMP_NUMBER = {"x86_64": 317, "arm64": 277}
_SET_MODE_FILTER = 1
_ALL_THREADS = 1

_AUDIT_ARCH = {"x86_64": 0xC000003E, "arm64": 0xC00000B7}
_X32_NUMBERS = 0x40000000
_RECENT_NUMBERS = 424
"""Calls since Linux 5.1 have the same numbers, from 424, on all architectures. They fail with ENOSYS, as on an older
kernel. Libraries fall back on EPERM less often: glibc does not for clone3."""

NUMBER, ARCHITECTURE, ARGUMENTS = 0, 4, 16
"""Offsets in struct seccomp_data."""
LOAD, AND, RETURN = 0x20, 0x54, 0x06
JUMP_EQUAL, JUMP_GREATER_OR_EQUAL = 0x15, 0x35
ALLOW, KILL, FAIL = 0x7FFF0000, 0x80000000, 0x00050000
"""Actions. FAIL has an errno in its lower 16 bits."""


class Instruction(ctypes.Structure):
    """struct sock_filter. `if_true` and `if_false` count the instructions that a jump skips."""

    _fields_ = (
        ("code", ctypes.c_uint16),
        ("if_true", ctypes.c_uint8),
        ("if_false", ctypes.c_uint8),
        ("value", ctypes.c_uint32),
    )


class _Program(ctypes.Structure):
    """struct sock_fprog."""

    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.POINTER(Instruction)))


def filter_syscalls() -> None:
    """Filter the system calls of all threads of this process; a forked process inherits it.

    Requires `deny_new_privileges`. Raises OSError if the kernel has no seccomp or the architecture is unknown.
    """
    if libc.MACHINE is None:
        raise OSError(errno.ENOSYS, "the system calls of this architecture are unknown")
    install(libc.MACHINE, filter_program(libc.MACHINE, allowed_syscalls(os.getpid())))


def install(machine: str, code: list[Instruction]) -> None:
    """Add a filter to those of this process. Raises OSError."""
    program = _Program(len(code), (Instruction * len(code))(*code))
    libc.syscall(SECCOMP_NUMBER[machine], _SET_MODE_FILTER, _ALL_THREADS, program)


def filter_program(machine: str, allowed: dict[str, Syscall]) -> list[Instruction]:
    """Return the filter's instructions. They first check the architecture, then compare the number with each call."""
    code = [
        Instruction(LOAD, 0, 0, ARCHITECTURE),
        Instruction(JUMP_EQUAL, 1, 0, _AUDIT_ARCH[machine]),
        returning(KILL),
        Instruction(LOAD, 0, 0, NUMBER),
        Instruction(JUMP_GREATER_OR_EQUAL, 0, 1, _X32_NUMBERS),
        returning(KILL),
        Instruction(JUMP_GREATER_OR_EQUAL, 0, 1, _RECENT_NUMBERS),
        returning(FAIL | errno.ENOSYS),
    ]
    for call in allowed.values():
        number = call.number(machine)
        if number is not None:
            code += _allow(number, call.checks)
    return [*code, returning(FAIL | errno.EPERM)]


def _allow(number: int, checks: Iterable[Check]) -> list[Instruction]:
    body = [instruction for check in checks for instruction in _test(check)]
    body.append(returning(ALLOW))
    return [Instruction(JUMP_EQUAL, 0, len(body), number), *body]


def _test(check: Check) -> list[Instruction]:
    """Continue with the next instruction if the check holds; otherwise fail with EPERM."""
    offset = ARGUMENTS + 8 * check.argument + 4 * check.high  # little endian
    count = len(check.values)
    return [
        Instruction(LOAD, 0, 0, offset),
        Instruction(AND, 0, 0, check.mask),
        *(
            Instruction(JUMP_EQUAL, count - index, 0, value)
            for index, value in enumerate(check.values)
        ),
        returning(FAIL | errno.EPERM),
    ]


def returning(action: int) -> Instruction:
    return Instruction(RETURN, 0, 0, action)
