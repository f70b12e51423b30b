"""The worker's end of the fork server: starts it, starts it again if it dies, and gets decoder processes from it."""

import asyncio
import itertools
import os
import socket
import sys
from contextlib import ExitStack, suppress
from dataclasses import asdict

import orjson
import structlog

from consumer.imaging.policy import ImagePolicy
from consumer.sandbox.control import MESSAGE, Command, Report
from consumer.sandbox.decoder_process import DecoderProcess, OnWarning
from consumer.sandbox.run_plan import ForkServerEnded, NotForked
from core.runtime.child_process import ChildProcess, describe_exit, run_with_restarts

_log = structlog.get_logger()

EXAMINER = "consumer.sandbox.decoder:examine_request"
_READ_BYTES = MESSAGE.size * 64
_CLOSE_S = 5.0
"""The fork server ends when the worker disconnects. After this time, in seconds, it is killed with its decoders."""


def _environment() -> dict[str, str]:
    """Return the whole environment of decoders. It has nothing of the worker's."""
    return {
        # Where this process finds its modules.
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        "PYTHONSAFEPATH": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUTF8": "1",
        "LANG": "C.UTF-8",
        # A fork loses all threads but one, and a decoder has one core.
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
        # Keep the memory of cheap images for the next one, and return that of expensive ones to the system.
        "MALLOC_ARENA_MAX": "1",
        "MALLOC_MMAP_THRESHOLD_": "8388608",
        "MALLOC_TRIM_THRESHOLD_": "16777216",
    }


class ForkClient:
    """Starts the fork server at once; `wait_until_running` tells when it can fork."""

    def __init__(self, policy: ImagePolicy, *, on_warning: OnWarning, examiner: str) -> None:
        self._policy = policy
        self._examiner = examiner
        self._on_warning = on_warning
        self._numbers = itertools.count(1)
        self._decoders: dict[int, DecoderProcess] = {}
        self.process: ChildProcess | None = None
        self._control: socket.socket | None = None
        self._running = asyncio.Event()
        self._stopping = asyncio.Event()
        self._unread = b""
        self._task = asyncio.create_task(self._keep_running(), name="decoders' fork server")

    async def wait_until_running(self) -> None:
        """Wait while the fork server is down. Raises ChildProcessError if it is stopped."""
        if self._control is not None:
            return
        running = asyncio.create_task(self._running.wait())
        await asyncio.wait({running, self._task}, return_when=asyncio.FIRST_COMPLETED)
        running.cancel()
        if self._control is None:
            raise ChildProcessError("decoders cannot be started")

    def fork(self, nice: int, memory_bytes: int) -> DecoderProcess:
        """Return a new decoder process. It may still start; it gets its first request when it has.

        memory_bytes: the most that it may ever use for an image, with the slack.
        If the fork server is down, the process has ended already.
        """
        number = next(self._numbers)
        ours, connection = socket.socketpair()
        warnings, stderr = os.pipe()
        # A decoder whose libraries write more than a pipe holds must not wait.
        os.set_blocking(warnings, False)
        os.set_blocking(stderr, False)
        decoder = DecoderProcess(
            ours, warnings, on_warning=self._on_warning, kill=lambda: self._kill(number)
        )
        self._decoders[number] = decoder
        message = MESSAGE.pack(Command.FORK, number, nice, memory_bytes)
        try:
            if self._control is None:
                raise BrokenPipeError
            socket.send_fds(self._control, [message], [connection.fileno(), stderr, warnings])
        except OSError:
            self._decoders.pop(number).end(ForkServerEnded())
        finally:
            connection.close()
            os.close(stderr)
        return decoder

    async def close(self) -> None:
        """End the fork server and every decoder."""
        self._stopping.set()
        self._disconnect()
        await asyncio.wait({self._task}, timeout=_CLOSE_S)
        if self.process is not None:
            self.process.kill()
        await self._task

    def _kill(self, number: int) -> None:
        if self._control is not None:
            with suppress(OSError):
                self._control.sendall(MESSAGE.pack(Command.KILL, number, 0, 0))

    async def _keep_running(self) -> None:
        def log(exit_code: int, failures: int, delay_s: float) -> bool:
            _log.error(
                "fork server of decoders ended",
                exit=describe_exit(exit_code),
                failures=failures,
                restart_in_s=round(delay_s, 1),
            )
            return True

        await run_with_restarts(self._run_again, stopping=self._stopping, on_exit=log)

    async def _run_again(self) -> int:
        """Run the fork server until it ends. Raises OSError if the first one cannot be started."""
        try:
            return await self._run_once()
        except OSError:
            if self.process is None:
                raise
            _log.exception("fork server of decoders not started")
            return os.EX_OSERR

    async def _run_once(self) -> int:
        ours, theirs = socket.socketpair()
        with theirs, ExitStack() as unused:
            unused.callback(ours.close)
            command = [
                *(sys.executable, "-P", "-m", "consumer.sandbox.fork_server"),
                *("--control", str(theirs.fileno())),
                *("--policy", orjson.dumps(asdict(self._policy)).decode()),
                *("--examiner", self._examiner),
            ]
            self.process = process = await ChildProcess.start(
                command, _environment(), theirs.fileno()
            )
            unused.pop_all()
        ours.setblocking(False)
        self._control = ours
        asyncio.get_running_loop().add_reader(ours, self._read)
        self._running.set()
        if self._stopping.is_set():
            self._disconnect()
        exit_code = await process.exited
        self._disconnect()
        return exit_code

    def _disconnect(self) -> None:
        """Forget a fork server and its decoders, which end when they cannot read any more."""
        control, self._control = self._control, None
        self._running.clear()
        self._unread = b""
        if control is not None:
            asyncio.get_running_loop().remove_reader(control)
            control.close()
        for number in list(self._decoders):
            self._decoders.pop(number).end(ForkServerEnded())

    def _read(self) -> None:
        if self._control is None:
            return
        try:
            data = self._control.recv(_READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._disconnect()
            return
        data = self._unread + data
        whole = len(data) - len(data) % MESSAGE.size
        self._unread = data[whole:]
        for report, number, argument, _ in MESSAGE.iter_unpack(data[:whole]):
            decoder = self._decoders.get(number)
            if decoder is None:
                continue
            if report == Report.FORKED:
                decoder.begin(argument)
            else:
                del self._decoders[number]
                decoder.end(argument if report == Report.ENDED else NotForked(argument))
