"""Run a module that must not outlive its parent, however the parent ends.

    python -m cli.local.parent_watch --fd N [--grace SECONDS] -- -m MODULE [ARGUMENT…]

N is the reading end of a pipe whose writing end only the parent holds. When the parent is gone, also
by kill -9, the kernel closes it, and the module gets SIGTERM and then `grace` seconds. Linux alone
could do this with PR_SET_PDEATHSIG; a pipe does it on macOS too. The module runs in this very
process, so its pid is the one that the parent knows.
"""

import argparse
import os
import runpy
import signal
import sys
import threading
import time

GRACE_SECONDS = 10.0


def main(arguments: list[str]) -> None:
    options, command = _parse(arguments)
    watcher = threading.Thread(
        target=_watch, args=(options.fd, options.grace), name="leash", daemon=True
    )
    watcher.start()
    sys.argv = command
    runpy.run_module(command[0], run_name="__main__", alter_sys=True)


def _parse(arguments: list[str]) -> tuple[argparse.Namespace, list[str]]:
    parser = argparse.ArgumentParser(prog="python -m cli.local.parent_watch")
    parser.add_argument("--fd", type=int, required=True)
    parser.add_argument("--grace", type=float, default=GRACE_SECONDS, metavar="SECONDS")
    parser.add_argument("command", nargs=argparse.REMAINDER, metavar="-- -m MODULE")
    options = parser.parse_args(arguments)
    command = [part for part in options.command[:1] if part != "--"] + options.command[1:]
    if len(command) < 2 or command[0] != "-m":  # noqa: PLR2004  "-m" and a name
        parser.error("what is to run is given as: -- -m MODULE [ARGUMENT…]")
    return options, command[1:]


def _watch(fd: int, grace: float) -> None:
    """Block until the pipe closes; nothing is ever written to it."""
    while os.read(fd, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(grace)
    # Not sys.exit: only the main thread may end the process that way, and it has had its time.
    os._exit(1)


if __name__ == "__main__":
    main(sys.argv[1:])
