"""Attacks of a decoder that an attacker controls. Each returns if it succeeds, and raises OSError otherwise."""

import ctypes
import errno
import fcntl
import mmap
import os
import resource
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

SECRET = b"the worker's credentials"
SECRET_NAME = "HARNESS_SECRET"  # an environment variable
MEMORY_LIMIT = 64 * 1024 * 1024
_PTRACE_SEIZE = 0x4206
_PIDFD_GETFD = 438
_F_SETOWN, _FIOSETOWN = 8, 0x8901
_MAP_GROWSDOWN = 0x100
_PAGE = mmap.PAGESIZE
_PROC = Path("/proc")

_libc = ctypes.CDLL(None, use_errno=True)
_secret = ctypes.create_string_buffer(SECRET)
"""Processes that are forked from one have it at the same address."""


@dataclass(frozen=True, slots=True)
class Targets:
    """What the decoder attacks.

    file: a regular file that is open for writing. datagram: an open UDP socket.
    """

    parent: int
    sibling: int
    folder: Path
    tcp: socket.socket
    udp: socket.socket
    unix: socket.socket
    abstract: socket.socket
    file: int
    datagram: socket.socket


@contextmanager
def open_targets(folder: Path, parent: int, sibling: int) -> Iterator[Targets]:
    """Open the sockets and the file that are attacked; all listen on this machine only."""
    with ExitStack() as stack:

        def listening(
            family: int, kind: int, address: str | bytes | tuple[str, int]
        ) -> socket.socket:
            opened = stack.enter_context(socket.socket(family, kind))
            opened.bind(address)
            if kind == socket.SOCK_STREAM:
                opened.listen()
            return opened

        yield Targets(
            parent=parent,
            sibling=sibling,
            folder=folder,
            tcp=listening(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0)),
            udp=listening(socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 0)),
            unix=listening(socket.AF_UNIX, socket.SOCK_STREAM, str(folder / "socket")),
            abstract=listening(socket.AF_UNIX, socket.SOCK_STREAM, b"\0harness-%d" % os.getpid()),
            file=stack.enter_context((folder / "open").open("wb", buffering=0)).fileno(),
            datagram=stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)),
        )


def connect_tcp(targets: Targets) -> None:
    _connect(targets.tcp)


def connect_unix(targets: Targets) -> None:
    _connect(targets.unix)


def connect_abstract(targets: Targets) -> None:
    _connect(targets.abstract)


def _connect(target: socket.socket) -> None:
    with socket.socket(target.family, target.type) as connection:
        connection.connect(target.getsockname())


def listen_tcp(_: Targets) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()


def send_udp(targets: Targets) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"x", targets.udp.getsockname())


def send_from_open_socket(targets: Targets) -> None:
    targets.datagram.sendto(b"x", targets.udp.getsockname())


def read_file(_: Targets) -> None:
    assert Path("/etc/passwd").read_bytes()


def read_file_as_closed_descriptor(targets: Targets) -> None:
    os.close(0)
    read_file(targets)


def list_folder(_: Targets) -> None:
    assert list(Path("/").iterdir())


def create_file(targets: Targets) -> None:
    (targets.folder / "created").touch()


def create_folder(targets: Targets) -> None:
    (targets.folder / f"folder-{os.getpid()}").mkdir()


def write_to_open_file(targets: Targets) -> None:
    os.write(targets.file, b"x")


def duplicate_descriptor(targets: Targets) -> None:
    os.dup(targets.file)


def execute(_: Targets) -> None:
    os.execv("/bin/true", ["true"])  # noqa: S606  the attack


def fork(_: Targets) -> None:
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)


def spawn(_: Targets) -> None:
    pid = os.posix_spawn("/bin/true", ["true"], {})
    if os.waitpid(pid, 0)[1]:
        raise OSError(errno.ENOEXEC, "the program could not load its libraries")


def read_environment_of_parent(targets: Targets) -> None:
    assert SECRET in (_PROC / str(targets.parent) / "environ").read_bytes()


def read_memory_file_of_parent(targets: Targets) -> None:
    with (_PROC / str(targets.parent) / "mem").open("rb", buffering=0) as memory:
        memory.seek(ctypes.addressof(_secret))
        assert memory.read(len(SECRET)) == SECRET


class _Vector(ctypes.Structure):
    """struct iovec."""

    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


def read_memory_of_parent(targets: Targets) -> None:
    _read_memory(targets.parent)


def read_memory_of_sibling(targets: Targets) -> None:
    _read_memory(targets.sibling)


def _read_memory(pid: int) -> None:
    into = ctypes.create_string_buffer(len(SECRET))
    local = _Vector(ctypes.addressof(into), len(SECRET))
    remote = _Vector(ctypes.addressof(_secret), len(SECRET))
    _checked(
        _libc.process_vm_readv(
            pid,
            ctypes.byref(local),
            ctypes.c_ulong(1),
            ctypes.byref(remote),
            ctypes.c_ulong(1),
            ctypes.c_ulong(0),
        )
    )
    assert into.raw == SECRET


def trace_parent(targets: Targets) -> None:
    _libc.ptrace.restype = ctypes.c_long
    _checked(_libc.ptrace(_PTRACE_SEIZE, targets.parent, None, None))


def take_descriptor_of_parent(targets: Targets) -> None:
    _checked(_libc.syscall(_PIDFD_GETFD, os.pidfd_open(targets.parent), 0, 0))


def signal_parent(targets: Targets) -> None:
    os.kill(targets.parent, signal.SIGURG)


def signal_sibling(targets: Targets) -> None:
    os.kill(targets.sibling, signal.SIGURG)


def signal_parent_by_socket(targets: Targets) -> None:
    """The kernel sends SIGIO to the owner of a socket."""
    fcntl.fcntl(targets.datagram, _F_SETOWN, targets.parent)


def signal_parent_by_ioctl(targets: Targets) -> None:
    fcntl.ioctl(targets.datagram, _FIOSETOWN, targets.parent.to_bytes(4, "little"))


def limit_parent(targets: Targets) -> None:
    limits = resource.prlimit(targets.parent, resource.RLIMIT_CORE)
    resource.prlimit(targets.parent, resource.RLIMIT_CORE, (0, limits[1]))


def slow_parent(targets: Targets) -> None:
    os.setpriority(os.PRIO_PROCESS, targets.parent, os.getpriority(os.PRIO_PROCESS, 0))


def become_traceable(_: Targets) -> None:
    _checked(_libc.prctl(4, *(ctypes.c_ulong(word) for word in (1, 0, 0, 0))))


def raise_memory_limit(_: Targets) -> None:
    unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    resource.prlimit(0, resource.RLIMIT_DATA, unlimited)


def raise_soft_memory_limit(_: Targets) -> None:
    hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
    resource.prlimit(0, resource.RLIMIT_DATA, (hard, hard))


def exceed_memory_limit(_: Targets) -> None:
    try:
        bytearray(2 * MEMORY_LIMIT)
    except MemoryError:
        raise OSError(errno.ENOMEM, "MemoryError") from None


def map_shared_memory(_: Targets) -> None:
    mmap.mmap(-1, 2 * MEMORY_LIMIT, mmap.MAP_SHARED | mmap.MAP_ANONYMOUS).close()


def map_stack_memory(_: Targets) -> None:
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _MAP_GROWSDOWN
    mmap.mmap(-1, 2 * MEMORY_LIMIT, flags).close()


def protect_written_memory(_: Targets) -> None:
    """The kernel does not count read-only memory."""
    _protect(mmap.PROT_READ)


def map_executable_memory(_: Targets) -> None:
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
    mmap.mmap(-1, _PAGE, flags, mmap.PROT_READ | mmap.PROT_EXEC).close()


def make_memory_executable(_: Targets) -> None:
    _protect(mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)


def _protect(protection: int) -> None:
    memory = mmap.mmap(-1, _PAGE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    address = ctypes.c_void_p(ctypes.addressof(ctypes.c_char.from_buffer(memory)))
    _checked(_libc.mprotect(address, ctypes.c_size_t(_PAGE), protection))


def _checked(result: int) -> None:
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


Attack: TypeAlias = Callable[[Targets], None]
ATTACKS: dict[str, Attack] = {
    attack.__name__: attack
    for attack in (
        connect_tcp,
        connect_unix,
        connect_abstract,
        listen_tcp,
        send_udp,
        send_from_open_socket,
        read_file,
        read_file_as_closed_descriptor,
        list_folder,
        create_file,
        create_folder,
        write_to_open_file,
        duplicate_descriptor,
        execute,
        fork,
        spawn,
        read_environment_of_parent,
        read_memory_file_of_parent,
        read_memory_of_parent,
        read_memory_of_sibling,
        trace_parent,
        take_descriptor_of_parent,
        signal_parent,
        signal_sibling,
        signal_parent_by_socket,
        signal_parent_by_ioctl,
        limit_parent,
        slow_parent,
        become_traceable,
        raise_memory_limit,
        raise_soft_memory_limit,
        exceed_memory_limit,
        map_shared_memory,
        map_stack_memory,
        protect_written_memory,
        map_executable_memory,
        make_memory_executable,
    )
}
