"""Forks decoder processes on request: `python -m consumer.sandbox.fork_server --control FD …`.

A fork takes milliseconds, while a new interpreter takes half a second of CPU to import the decoders. The worker starts
this program before it loads credentials, with an environment and descriptors of our choice. So neither this process nor
a decoder has ever held a secret. The program ends when the worker does, and its decoders end with it.
"""

import argparse
import ctypes
import faulthandler
import importlib
import json
import os
import select
import signal
import socket
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from io import BytesIO
from typing import NoReturn

from PIL import AvifImagePlugin, Image

from consumer.imaging.formats import FORMATS
from consumer.imaging.inspection import inspect
from consumer.imaging.policy import ImagePolicy, policy_of
from consumer.sandbox.control import MESSAGE, Command, Report
from consumer.sandbox.decoder import Examiner, run_decoder
from consumer.sandbox.restrictions import protect_from_children
from core.runtime.gc_tuning import freeze_gc

_PR_SET_PDEATHSIG = 1
_FDS = 3
"""Descriptors of a request to fork."""
_STDOUT_FD, _STDERR_FD, _CONNECTION_FD, _WARNINGS_FD = 1, 2, 3, 4
_FIRST_CLOSED_FD = 5
_OPEN_MAX = 1 << 16
_LAZY_MODULES = (
    "_strptime",
    *(
        f"encodings.{name}"
        for name in (
            *("ascii", "latin_1", "utf_8_sig", "cp1252"),
            *("utf_16", "utf_16_le", "utf_16_be", "utf_32", "utf_32_le", "utf_32_be"),
        )
    ),
)
"""Modules that Python itself imports at their first use, when a decoder can open no file any more."""


@dataclass(frozen=True, slots=True)
class _Fork:
    """The request to fork a decoder process, as the new process needs it."""

    connection: int
    stderr: int
    warnings: int
    nice: int
    memory_bytes: int


@dataclass(slots=True)
class ForkServer:
    """One thread, which forks, kills and reaps. A process is known by the worker's number of it.

    The worker kills decoders through this process, the only one that knows whether a pid is still theirs.
    """

    control: socket.socket
    pids: dict[int, int] = field(default_factory=dict)
    """By number: the process ids of the decoders that have not been reaped."""

    def serve(self) -> _Fork | None:
        """Serve until the worker closes its end, and return None then. Return the request in a forked process."""
        reading, writing = os.pipe()
        os.set_blocking(reading, False)
        os.set_blocking(writing, False)
        signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        poll = select.poll()
        poll.register(self.control, select.POLLIN)
        poll.register(reading, select.POLLIN)
        while True:
            ready = {fd for fd, _ in poll.poll()}
            if reading in ready:
                os.read(reading, _OPEN_MAX)
                self._reap()
            if self.control.fileno() in ready:
                message, fds = self._receive()
                if len(message) < MESSAGE.size:
                    return None
                forked = self._obey(message, fds)
                if forked is not None:
                    return forked

    def _receive(self) -> tuple[bytes, list[int]]:
        try:
            message, fds, _, _ = socket.recv_fds(self.control, MESSAGE.size, _FDS)
        except ConnectionResetError:  # The worker has gone with reports unread.
            return b"", []
        while message and len(message) < MESSAGE.size:
            more = self.control.recv(MESSAGE.size - len(message))
            if not more:
                return b"", fds
            message += more
        return message, fds

    def _obey(self, message: bytes, fds: list[int]) -> _Fork | None:
        command, number, argument, size = MESSAGE.unpack(message)
        if command == Command.KILL:
            if number in self.pids:
                os.kill(self.pids[number], signal.SIGKILL)
            return None
        connection, stderr, warnings = fds
        parent = os.getpid()
        try:
            pid = os.fork()
        except OSError as refused:
            self._report(Report.NOT_FORKED, number, refused.errno or 0)
        else:
            if pid == 0:
                _end_with(parent)
                return _Fork(connection, stderr, warnings, argument, size)
            self.pids[number] = pid
            self._report(Report.FORKED, number, pid)
        for fd in fds:
            os.close(fd)
        return None

    def _reap(self) -> None:
        for number, pid in list(self.pids.items()):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                del self.pids[number]
                self._report(Report.ENDED, number, os.waitstatus_to_exitcode(status))

    def _report(self, report: Report, number: int, argument: int) -> None:
        # The worker may have gone. Then the next read of the control socket ends this process.
        with suppress(OSError):
            self.control.sendall(MESSAGE.pack(report, number, argument, 0))


def _end_with(parent: int) -> None:
    """Let the kernel kill this process when the fork server ends. On other systems it ends at its next read."""
    if sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def _run(fork: _Fork, policy: ImagePolicy, examiner: Examiner) -> NoReturn:
    """Be a decoder process."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    # The sources have higher numbers: the server's own descriptors come first.
    for number, fd in (
        (_STDOUT_FD, fork.stderr),
        (_STDERR_FD, fork.stderr),
        (_CONNECTION_FD, fork.connection),
        (_WARNINGS_FD, fork.warnings),
    ):
        os.dup2(fd, number)
    os.closerange(_FIRST_CLOSED_FD, _OPEN_MAX)
    if fork.nice:
        os.nice(fork.nice)
    with socket.socket(fileno=_CONNECTION_FD) as connection, suppress(BrokenPipeError):
        run_decoder(connection, _WARNINGS_FD, policy, examiner, fork.memory_bytes)
    # The interpreter need not free its memory first.
    os._exit(0)


def _load_decoders(policy: ImagePolicy) -> None:
    """Decode a sample of each format, so that modules which are loaded at the first use are loaded before a fork.

    Optional decoders are loaded with our modules. Pillow has no encoder of their formats.
    """
    for name in _LAZY_MODULES:
        importlib.import_module(name)
    Image.init()
    for image_format in FORMATS:
        if image_format.decoder:
            continue
        sample = BytesIO()
        Image.new("RGB", (16, 16), (200, 100, 50)).save(sample, image_format.name)
        inspect(sample.getvalue(), policy, tuple(policy.presets))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m consumer.sandbox.fork_server")
    parser.add_argument("--control", type=int, required=True, metavar="FD")
    parser.add_argument("--policy", type=json.loads, required=True, metavar="JSON")
    parser.add_argument("--examiner", required=True, metavar="MODULE:FUNCTION")
    options = parser.parse_args()
    policy = policy_of(options.policy)
    protect_from_children()
    faulthandler.enable()
    # Its decoder would start a thread for each core. One image is one thread.
    AvifImagePlugin.DEFAULT_MAX_THREADS = 1
    module, _, function = options.examiner.partition(":")
    examiner: Examiner = getattr(importlib.import_module(module), function)
    _load_decoders(policy)
    # Before the fork, so that decoders share the pages of these objects.
    freeze_gc()
    forked = ForkServer(socket.socket(fileno=options.control)).serve()
    if forked is not None:
        _run(forked, policy, examiner)


if __name__ == "__main__":
    main()
