"""The seccomp filter on both architectures, run by an interpreter of its instructions."""

import errno
import struct

import pytest

from consumer.sandbox.restrictions import seccomp
from consumer.sandbox.restrictions.seccomp import ALLOW, FAIL, KILL, Instruction, filter_program
from consumer.sandbox.restrictions.syscalls import allowed_syscalls

PID = 4_711
AUDIT = {"x86_64": 0xC000003E, "arm64": 0xC00000B7}  # linux/audit.h
I386 = 0x40000003
PERMISSION = FAIL | errno.EPERM
NO_SYSCALL = FAIL | errno.ENOSYS
BOTH = pytest.mark.parametrize("machine", AUDIT)


def run(code: list[Instruction], number: int, *arguments: int, architecture: int) -> int:
    """Return the action of the filter on a system call."""
    words = (*arguments, *[0] * (6 - len(arguments)))
    data = struct.pack("<IIQ6Q", number, architecture, 0, *words)
    accumulator = position = 0
    while True:
        instruction = code[position]
        position += 1
        value = instruction.value
        if instruction.code == seccomp.LOAD:
            (accumulator,) = struct.unpack_from("<I", data, value)
        elif instruction.code == seccomp.AND:
            accumulator &= value
        elif instruction.code == seccomp.RETURN:
            return int(value)
        else:
            holds = (
                accumulator == value
                if instruction.code == seccomp.JUMP_EQUAL
                else accumulator >= value
            )
            position += instruction.if_true if holds else instruction.if_false


def action(machine: str, name: str, *arguments: int) -> int:
    """Return the action on an allowed system call with these arguments; the numbers are those of its architecture."""
    allowed = allowed_syscalls(PID)
    number = allowed[name].number(machine)
    assert number is not None
    return run(filter_program(machine, allowed), number, *arguments, architecture=AUDIT[machine])


@BOTH
def test_calls_without_conditions_are_allowed(machine: str) -> None:
    for name, call in allowed_syscalls(PID).items():
        if not call.checks and call.number(machine) is not None:
            assert action(machine, name) == ALLOW


@BOTH
def test_calls_are_allowed_if_their_arguments_are_harmless(machine: str) -> None:
    private, anonymous = 2, 0x20
    for name, arguments in (
        ("mmap", (0, 4_096, 3, private | anonymous)),
        ("mmap", (0, 4_096, 0, private | anonymous)),
        ("mprotect", (0, 4_096, 3)),
        ("clone", (0x3D0F00,)),
        ("clone", (0x7D0F00,)),
        ("tgkill", (PID, 5, 6)),
        ("prlimit64", (0, 2)),
        ("sendto", (3, 1, 1, 0, 0, 0)),
        *(("fcntl", (3, command)) for command in (1, 2, 3, 4)),
        ("ioctl", (3, 0x5401)),
        ("prctl", (15,)),
    ):
        assert action(machine, name, *arguments) == ALLOW, name


@BOTH
def test_calls_are_denied_if_an_argument_is_harmful(machine: str) -> None:
    for name, arguments in (
        ("mmap", (0, 4_096, 5, 0x22)),  # executable
        ("mmap", (0, 4_096, 3, 0x21)),  # shared
        ("mmap", (0, 4_096, 3, 0x122)),  # grows down
        ("mprotect", (0, 4_096, 1)),  # not counted any more
        ("mprotect", (0, 4_096, 7)),
        ("clone", (17,)),  # fork
        ("clone", (0x4111,)),  # vfork
        ("clone", (0x3D0F00 | 0x10000000,)),  # a user namespace
        ("tgkill", (PID + 1, 5, 6)),
        ("prlimit64", (PID, 2)),
        ("sendto", (3, 1, 1, 0, 0xFFFF, 16)),
        ("sendto", (3, 1, 1, 0, 1 << 32, 16)),
        ("fcntl", (3, 0)),  # F_DUPFD
        ("fcntl", (3, 8)),  # F_SETOWN
        ("ioctl", (3, 0x8901)),  # FIOSETOWN
        ("prctl", (4, 1)),  # PR_SET_DUMPABLE
    ):
        assert action(machine, name, *arguments) == PERMISSION, name


@pytest.mark.parametrize(
    ("machine", "numbers"),
    [
        # open, socket, connect, execve, kill, ptrace, openat, process_vm_readv
        ("x86_64", (2, 41, 42, 59, 62, 101, 257, 310)),
        ("arm64", (56, 198, 203, 221, 129, 117, 270)),
    ],
)
def test_other_calls_are_denied(machine: str, numbers: tuple[int, ...]) -> None:
    code = filter_program(machine, allowed_syscalls(PID))
    for number in numbers:
        assert run(code, number, architecture=AUDIT[machine]) == PERMISSION


@BOTH
def test_recent_calls_seem_to_be_missing(machine: str) -> None:
    """io_uring_setup, clone3, pidfd_getfd, and a number that no kernel has yet."""
    code = filter_program(machine, allowed_syscalls(PID))
    for number in (425, 435, 438, 5_000):
        assert run(code, number, architecture=AUDIT[machine]) == NO_SYSCALL


@BOTH
def test_other_conventions_end_the_process(machine: str) -> None:
    code = filter_program(machine, allowed_syscalls(PID))
    assert run(code, 0, architecture=I386) == KILL
    assert run(code, 0x40000000, architecture=AUDIT[machine]) == KILL
