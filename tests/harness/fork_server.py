"""Forks the system's processes from one that has already imported them: `python -m harness.fork_server FD`.

A start costs 0.2 s of CPU instead of 1 s. The forked process then does what `python -m core.runtime.parent_watch` does,
with an environment and with output streams of its own. FD is one end of a SEQPACKET socket pair; the server ends when
the other end closes.
"""

import gc
import importlib
import json
import os
import select
import socket
import sys
from dataclasses import dataclass, field

from core.runtime import parent_watch
from harness import sdk_models

PRELOADED = (
    "server.__main__",
    "server.app",
    "consumer.__main__",
    "core.search.sqlite",
    "core.search.opensearch.engine",
    "cli.main",
)
"""gRPC is imported but not started, because a fork would lose its threads."""
REQUEST_BYTES = 200_000
FDS = 5
"""Descriptors of a request: three standard streams, the parent pipe, and the pipe for the pid and the exit code."""


@dataclass(slots=True)
class ForkServer:
    """One thread that accepts requests and reports the ends of the processes."""

    control: socket.socket
    statuses: dict[int, tuple[int, int]] = field(default_factory=dict)
    """By pidfd: the pid and the descriptor for its exit code."""

    def serve(self) -> list[str] | None:
        """Fork until the client closes its end. Return None then; return the command in a forked process."""
        while True:
            poll = select.poll()
            for fd in (self.control.fileno(), *self.statuses):
                poll.register(fd, select.POLLIN)
            for fd, _ in poll.poll():
                if fd in self.statuses:
                    self._report(fd)
                    continue
                request, fds, _, _ = socket.recv_fds(self.control, REQUEST_BYTES, FDS)
                if not request:
                    return None
                command = self._fork(json.loads(request), fds[:3], *fds[3:])
                if command is not None:
                    return command

    def _fork(
        self, request: dict[str, object], streams: list[int], pipe: int, status: int
    ) -> list[str] | None:
        pid = os.fork()
        if pid:
            os.write(status, b"%d\n" % pid)
            self.statuses[os.pidfd_open(pid)] = (pid, status)
            for fd in (*streams, pipe):
                os.close(fd)
            return None
        self.control.close()
        for number, fd in enumerate(streams):
            os.dup2(fd, number)
        os.dup2(pipe, 3, inheritable=False)
        os.closerange(4, os.sysconf("SC_OPEN_MAX"))
        os.environ.clear()
        os.environ.update(request["environment"])  # type: ignore[call-overload]  # the JSON comes from Launcher
        return ["--fd", "3", "--", "-m", *request["command"]]  # type: ignore[misc]  # as above

    def _report(self, pidfd: int) -> None:
        pid, status = self.statuses.pop(pidfd)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        os.write(status, b"%d\n" % code)
        os.close(status)
        os.close(pidfd)


def preload() -> None:
    sdk_models.share()
    sdk_models.load()
    for name in PRELOADED:
        importlib.import_module(name)
        if name.endswith("__main__") or name == "cli.main":
            # It is run again as the main module.
            del sys.modules[name]
    gc.collect()
    gc.freeze()


def main() -> None:
    control = socket.socket(fileno=int(sys.argv[1]))
    preload()
    command = ForkServer(control).serve()
    if command is not None:
        parent_watch.main(command)


if __name__ == "__main__":
    main()
