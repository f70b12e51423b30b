"""Work in a restricted process: `python -m harness.restricted_work WORK [SYSCALL…]`.

The numbers are system calls that the kernel seems to lack. Prints the active protections, then the output of the work.
"""

import ctypes
import errno
import os
import resource
import socket
import sys
import threading
from collections.abc import Callable
from io import BytesIO

from PIL import Image

from consumer.imaging.inspection import inspect
from consumer.imaging.policy import ImagePolicy
from consumer.sandbox.restrictions import privileges, restrict, seccomp
from consumer.sandbox.restrictions.libc import MACHINE
from consumer.sandbox.restrictions.syscalls import allowed_syscalls
from harness.images import IMAGES

_MEMORY_BYTES = 512 * 1024 * 1024
_SYSCALLS = 500
"""Above the last number of Linux 6.18."""
_PROBES = {335, 336}
"""uretprobe and uprobe of x86-64. The kernel does not filter them: they end a process that calls them (SIGILL)."""
_X32_GETPID = 0x40000000 + 39

BODIES = {path.name: path.read_bytes() for path in sorted(IMAGES.iterdir()) if path.is_file()}
OPEN, PEER = socket.socketpair()


def inspect_images() -> None:
    """Inspect each sample, in full."""
    for name, body in BODIES.items():
        if not name.endswith(".md"):
            inspect(body, ImagePolicy(verification="full"))


def encode_images() -> None:
    """Encode with one thread and with several."""
    image = Image.linear_gradient("L").convert("RGB")
    for kind, options in (
        ("JPEG", {}),
        ("WEBP", {"method": 6}),
        ("AVIF", {"max_threads": 1}),
        ("AVIF", {"max_threads": 4}),
    ):
        out = BytesIO()
        image.save(out, kind, **options)
        Image.open(BytesIO(out.getvalue())).load()


def start_threads() -> None:
    results: list[int] = []
    threads = [
        threading.Thread(target=lambda: results.append(len(bytearray(1_000_000)))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [1_000_000] * 4


def use_open_sockets() -> None:
    """Send and receive on sockets that are open."""
    PEER.sendall(b"body")
    assert OPEN.recv(4, socket.MSG_WAITALL) == b"body"
    os.write(OPEN.fileno(), b"answer")
    assert os.read(PEER.fileno(), 10) == b"answer"
    PEER.close()
    assert OPEN.recv(10) == b""


def read_own_limit() -> None:
    """As the C library does when a thread asks for its stack."""
    assert resource.RLIM_INFINITY not in resource.getrlimit(resource.RLIMIT_DATA)
    assert resource.getrlimit(resource.RLIMIT_STACK)


def abort() -> None:
    os.abort()


def fail() -> None:
    """End with a traceback; its source lines cannot be read."""
    raise RuntimeError("the work failed")


def call_everything_else() -> None:
    """Make every system call that is not allowed."""
    assert MACHINE is not None
    allowed = {call.number(MACHINE) for call in allowed_syscalls(os.getpid()).values()}
    libc = ctypes.CDLL(None, use_errno=True)
    for number in set(range(_SYSCALLS)) - allowed - _PROBES:
        result = libc.syscall(ctypes.c_long(number), *[ctypes.c_long(-1)] * 6)
        assert (result, ctypes.get_errno()) in ((-1, errno.EPERM), (-1, errno.ENOSYS)), number


def call_in_another_convention() -> None:
    ctypes.CDLL(None).syscall(ctypes.c_long(_X32_GETPID))


WORK: dict[str, Callable[[], None]] = {
    work.__name__: work
    for work in (
        inspect_images,
        encode_images,
        start_threads,
        use_open_sockets,
        read_own_limit,
        abort,
        fail,
        call_everything_else,
        call_in_another_convention,
    )
}


def make_unavailable(*numbers: int) -> None:
    """Let these system calls fail as on a kernel that lacks them."""
    assert MACHINE is not None
    privileges.deny_new_privileges()
    code = [seccomp.Instruction(seccomp.LOAD, 0, 0, seccomp.NUMBER)]
    for number in numbers:
        code.append(seccomp.Instruction(seccomp.JUMP_EQUAL, 0, 1, number))
        code.append(seccomp.returning(seccomp.FAIL | errno.ENOSYS))
    seccomp.install(MACHINE, [*code, seccomp.returning(seccomp.ALLOW)])


def main() -> None:
    work = WORK[sys.argv[1]]
    Image.init()
    inspect_images()  # Some modules are loaded at their first use.
    make_unavailable(*(int(number) for number in sys.argv[2:]))
    sys.stdout.write(" ".join(restrict(_MEMORY_BYTES)) + "\n")
    sys.stdout.flush()
    work()


if __name__ == "__main__":
    main()
