"""The system calls that a decoder may make, and their numbers. Everything else fails.

The list was found by decoding and encoding each format, with threads, errors and aborts, under the filter.
"""

from dataclasses import dataclass

_ALL_BITS = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class Check:
    """A condition on 32 bits of an argument: `bits & mask` must be one of `values`.

    argument: its position, from 0.
    high: test the upper 32 bits. The kernel ignores them in an `int`.
    """

    argument: int
    values: tuple[int, ...]
    mask: int = _ALL_BITS
    high: bool = False


@dataclass(frozen=True, slots=True)
class Syscall:
    """Its number on each architecture, None if the architecture lacks it, and conditions that must all hold."""

    x86_64: int | None
    arm64: int | None
    checks: tuple[Check, ...] = ()

    def number(self, machine: str) -> int | None:
        return self.x86_64 if machine == "x86_64" else self.arm64


OPEN_DESCRIPTORS = {
    "read": Syscall(0, 63),
    "write": Syscall(1, 64),
    "readv": Syscall(19, 65),
    "writev": Syscall(20, 66),
    "lseek": Syscall(8, 62),
    "close": Syscall(3, 57),
    "fstat": Syscall(5, 80),
    # The flags and descriptor flags. Not F_SETOWN, which lets the kernel signal another process.
    "fcntl": Syscall(72, 25, (Check(1, (1, 2, 3, 4)),)),
    # TCGETS (isatty). Not FIOSETOWN.
    "ioctl": Syscall(16, 29, (Check(1, (0x5401,)),)),
    "recvfrom": Syscall(45, 207),
    # Without an address: a datagram socket could send to any other.
    "sendto": Syscall(44, 206, (Check(4, (0,)), Check(4, (0,), high=True))),
    "shutdown": Syscall(48, 210),
}

_PROT_READ_WRITE = 3
_MAP_SHARED, _MAP_GROWSDOWN, _MAP_HUGETLB = 0x01, 0x100, 0x40000
_UNCOUNTED = _MAP_SHARED | _MAP_GROWSDOWN | _MAP_HUGETLB
"""Kinds of memory that RLIMIT_DATA does not count."""

MEMORY = {
    "mmap": Syscall(
        9,
        222,
        (Check(2, (0,), mask=_ALL_BITS ^ _PROT_READ_WRITE), Check(3, (0,), mask=_UNCOUNTED)),
    ),
    # malloc and stacks of threads make memory writable. Memory that is made read-only would not be counted any more.
    "mprotect": Syscall(10, 226, (Check(2, (_PROT_READ_WRITE,)),)),
    "munmap": Syscall(11, 215),
    "mremap": Syscall(25, 216),
    "madvise": Syscall(28, 233),
    "brk": Syscall(12, 214),
}

_THREAD_FLAGS = 0x3D0F00
"""What pthread_create passes: VM, FS, FILES, SIGHAND, THREAD, SYSVSEM, SETTLS, PARENT_SETTID, CHILD_CLEARTID."""
_CLONE_DETACHED = 0x400000
"""musl's flag, without effect."""

THREADS = {
    "clone": Syscall(56, 220, (Check(0, (_THREAD_FLAGS,), mask=_ALL_BITS ^ _CLONE_DETACHED),)),
    "futex": Syscall(202, 98),
    "set_robust_list": Syscall(273, 99),
    "rseq": Syscall(334, 293),
    "sched_yield": Syscall(24, 124),
    "sched_getaffinity": Syscall(204, 123),
    # PR_SET_NAME and PR_GET_NAME: the names of threads.
    "prctl": Syscall(157, 167, (Check(0, (15, 16)),)),
    "exit": Syscall(60, 93),
    "exit_group": Syscall(231, 94),
}

INFORMATION = {
    "getpid": Syscall(39, 172),
    "gettid": Syscall(186, 178),
    "getppid": Syscall(110, 173),
    "getuid": Syscall(102, 174),
    "geteuid": Syscall(107, 175),
    "getgid": Syscall(104, 176),
    "getegid": Syscall(108, 177),
    "getcpu": Syscall(309, 168),
    "clock_gettime": Syscall(228, 113),
    "clock_getres": Syscall(229, 114),
    "clock_nanosleep": Syscall(230, 115),
    "nanosleep": Syscall(35, 101),
    "gettimeofday": Syscall(96, 169),
    "time": Syscall(201, None),
    "getrandom": Syscall(318, 278),
    "getrusage": Syscall(98, 165),
    "sysinfo": Syscall(99, 179),
    # Its own limits (0), and without new ones (NULL): the worker moves the soft limit of memory.
    "prlimit64": Syscall(302, 261, (Check(0, (0,)), Check(2, (0,)), Check(2, (0,), high=True))),
}

SIGNALS = {
    "rt_sigaction": Syscall(13, 134),
    "rt_sigprocmask": Syscall(14, 135),
    "rt_sigreturn": Syscall(15, 139),
    "sigaltstack": Syscall(131, 132),
    "restart_syscall": Syscall(219, 128),
}


def allowed_syscalls(pid: int) -> dict[str, Syscall]:
    """Return the system calls for the process `pid`, by name. It may send signals to itself: abort does so."""
    tgkill = Syscall(234, 131, (Check(0, (pid,)),))
    return {
        **OPEN_DESCRIPTORS,
        **MEMORY,
        **THREADS,
        **INFORMATION,
        **SIGNALS,
        "tgkill": tgkill,
    }
