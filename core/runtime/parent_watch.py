"""End a process when its parent has gone, even if the parent was killed by SIGKILL.

    python -m core.runtime.parent_watch --fd N [--grace SECONDS] -- -m MODULE [ARGUMENT…]

N is one end of a pipe or a socket pair. Only the parent holds the other end. When the parent ends, the kernel closes
that end, and the module gets SIGTERM and then `grace` seconds before it is ended. Linux alone could use
PR_SET_PDEATHSIG; a pipe works on macOS too. The module runs in this very process, so the parent knows its pid.
"""

import argparse
import os
import runpy
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

DEFAULT_GRACE_S = 10.0

SERVING = b"."
"""The byte that `notify_serving` sends to the parent."""


@contextmanager
def parent_pipe() -> Iterator[int]:
    """Yield the reading end of a pipe, to be inherited by children. This process keeps the writing end.

    Both ends are non-inheritable by default (PEP 446), so no child can hold the writing end by accident.
    """
    reading, writing = os.pipe()
    try:
        yield reading
    finally:
        os.close(writing)
        os.close(reading)


class ParentWatch:
    """Watches the parent through an inherited file descriptor; a thread does the waiting."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._gone = threading.Event()

    @property
    def parent_gone(self) -> bool:
        return self._gone.is_set()

    def start(self, grace_s: float) -> None:
        """Send SIGTERM to this process when the parent has gone, and end the process `grace_s` seconds later."""
        threading.Thread(
            target=self._watch, args=(grace_s,), name="parent-watch", daemon=True
        ).start()

    def notify_serving(self) -> None:
        """Tell the parent that this process serves. `fd` must be a socket."""
        with suppress(OSError):  # The parent has gone; the thread handles that.
            os.write(self._fd, SERVING)

    def _watch(self, grace_s: float) -> None:
        # The parent writes nothing. A socket that is reset counts as closed.
        with suppress(OSError):
            while os.read(self._fd, 1):
                pass
        self._gone.set()
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(grace_s)
        # sys.exit would end this thread only.
        os._exit(1)


def watched_command(fd: int, module: str, *arguments: str) -> list[str]:
    """Return the command that runs a Python module under a parent watch on `fd`."""
    return [
        *(sys.executable, "-m", "core.runtime.parent_watch", "--fd", str(fd)),
        *("--", "-m", module, *arguments),
    ]


def main(arguments: list[str]) -> None:
    options, command = _parse(arguments)
    ParentWatch(options.fd).start(options.grace)
    sys.argv = command
    runpy.run_module(command[0], run_name="__main__", alter_sys=True)


def _parse(arguments: list[str]) -> tuple[argparse.Namespace, list[str]]:
    parser = argparse.ArgumentParser(prog="python -m core.runtime.parent_watch")
    parser.add_argument("--fd", type=int, required=True)
    parser.add_argument("--grace", type=float, default=DEFAULT_GRACE_S, metavar="SECONDS")
    parser.add_argument("command", nargs=argparse.REMAINDER, metavar="-- -m MODULE")
    options = parser.parse_args(arguments)
    command = [part for part in options.command[:1] if part != "--"] + options.command[1:]
    if len(command) < 2 or command[0] != "-m":  # noqa: PLR2004  "-m" and a name
        parser.error("give the module to run as: -- -m MODULE [ARGUMENT…]")
    return options, command[1:]


if __name__ == "__main__":
    main(sys.argv[1:])
