"""The line between a worker and the parent that started it: a socket whose other end only the parent holds.

Through it the worker says once that it serves. When the parent is gone, also by kill -9, the kernel closes its end, and
the worker leaves. Linux alone could do that with PR_SET_PDEATHSIG; a socket does it on macOS too.
"""

import os
import signal
import socket
import threading
import time
from contextlib import suppress

SERVING = b"."


class ParentWatch:
    """The worker's end, by its file descriptor."""

    def __init__(self, fd: int) -> None:
        self._socket = socket.socket(fileno=fd)
        self._cut = threading.Event()

    @property
    def cut(self) -> bool:
        """Whether the parent is gone."""
        return self._cut.is_set()

    def watch(self, grace_s: float) -> None:
        """From now on, drain this process when the parent is gone, and end it after `grace_s` seconds."""
        threading.Thread(target=self._watch, args=(grace_s,), name="tether", daemon=True).start()

    def say_serving(self) -> None:
        with suppress(OSError):  # The parent is gone; that is the watch's business.
            self._socket.sendall(SERVING)

    def _watch(self, grace_s: float) -> None:
        with suppress(OSError):
            while self._socket.recv(1):
                pass
        self._cut.set()
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(grace_s)
        # Not sys.exit: only the main thread may end the process that way, and it has had its time.
        os._exit(1)
