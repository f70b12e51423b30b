"""The worker's end of one decoder process."""

import asyncio
import os
import signal
import socket
import time
from collections.abc import Callable
from enum import StrEnum

from consumer.imaging.policy import ImagePolicy
from consumer.sandbox.protocol import (
    HEADER,
    Answer,
    Ready,
    Request,
    decode_message,
    decode_ready,
    encode_request,
    message_size,
)
from core.answers import MalformedAnswer
from core.runtime.child_process import describe_exit

_READ_BYTES = 1 << 16
_WARNING_BYTES = 4_096

OnWarning = Callable[[str, str], None]
"""Called with what a decoder wrote to its standard error, and with the request id."""


class DecoderEnded(Exception):
    """The process has ended without a valid answer. The image may be the reason, but need not.

    attributable: False if the process was killed by a SIGKILL that was not ours, which is how the kernel ends a process
        when memory is short.
    """

    def __init__(self, reason: str, *, attributable: bool) -> None:
        super().__init__(reason)
        self.attributable = attributable


class ForkServerEnded(DecoderEnded):
    """The process was killed because its fork server had ended."""

    def __init__(self) -> None:
        super().__init__("the fork server ended", attributable=False)


class Stop(StrEnum):
    """Why the worker kills a decoder. The text is for the customer, if the image is the reason."""

    CHEAP_CPU_LIMIT = "it takes longer than a cheap image"
    CPU_LIMIT = "it takes too long"
    STALLED = "its decoder does not end"
    REPLACED = "the decoder is replaced"
    CANCELLED = "the image is not needed any more"


class DecoderStopped(Exception):
    """The worker has killed the process."""

    def __init__(self, reason: Stop) -> None:
        super().__init__(reason)
        self.reason = reason


class DecoderProcess:
    """Examines one image at a time, so the image of a death is known.

    `kill` asks the fork server to kill the process. `end` is called once, when the process is gone.
    """

    def __init__(
        self,
        connection: socket.socket,
        warnings: int,
        *,
        on_warning: OnWarning,
        kill: Callable[[], None],
    ) -> None:
        connection.setblocking(False)
        os.set_blocking(warnings, False)
        self.pid = 0
        self.images = 0
        """Requests answered or in progress."""
        self.ended = False
        self.ready: asyncio.Future[Ready] = asyncio.get_running_loop().create_future()
        self._loop = asyncio.get_running_loop()
        self._connection = connection
        self._warnings = warnings
        self._on_warning = on_warning
        self._kill = kill
        self._stop_reason: Stop | None = None
        self._malformed = ""
        self._gone: asyncio.Future[Exception] = self._loop.create_future()
        self._request_id = ""
        self._warning = b""
        self._answer: asyncio.Future[bytes] | None = None
        self._body_size = 0
        self._unsent: list[memoryview] = []
        self._received = bytearray()
        self._loop.add_reader(connection, self._read)
        self._loop.add_reader(warnings, self._read_warnings)

    async def examine(self, request: Request, policy: ImagePolicy, request_id: str) -> Answer:
        """Send a body and return the answer.

        Raises DecoderEnded and DecoderStopped when the process is gone. After a cancellation, `stop` it.
        """
        if self.ended:
            raise self._gone.result()
        self.images += 1
        self._request_id = request_id
        self._body_size = len(request.body)
        self._answer = self._loop.create_future()
        self._send(encode_request(request))
        try:
            message = await self._answer
        finally:
            self._answer = None
            self._log_warning()
        try:
            return decode_message(message, self._body_size, policy)
        except MalformedAnswer as malformed:
            self._refuse(str(malformed))
            raise await self._gone from malformed

    @property
    def usable(self) -> bool:
        """Whether the process can take another image, as far as it is known."""
        return not (self.ended or self._stop_reason or self._malformed)

    def stop(self, reason: Stop) -> None:
        """Kill the process. Its image, if there is one, ends with DecoderStopped when the process is gone."""
        if self.usable:
            self._stop_reason = reason
            self._kill()

    def cpu_seconds(self) -> float | None:
        """Return the CPU time of the process in seconds, None if the system does not tell."""
        if not self.pid:
            return None
        try:
            # CPUCLOCK_SCHED of another process: include/linux/posix-timers.h.
            return time.clock_gettime(~self.pid << 3 | 2)
        except OSError:
            return None

    def end(self, exit_code: int | None) -> None:
        """Note that the process is gone."""
        self.ended = True
        self._read_warnings()
        self._log_warning()
        for fd in (self._connection.fileno(), self._warnings):
            if fd >= 0:
                self._loop.remove_reader(fd)
                self._loop.remove_writer(fd)
        self._connection.close()
        os.close(self._warnings)
        error = self._error(exit_code)
        self._gone.set_result(error)
        for waiting in (self._answer, self.ready):
            if waiting is not None and not waiting.done():
                waiting.set_exception(error)
        # Nobody may wait for it, and asyncio would report that.
        self.ready.exception()

    def _error(self, exit_code: int | None) -> Exception:
        if self._stop_reason:
            return DecoderStopped(self._stop_reason)
        if self._malformed:
            return DecoderEnded(f"invalid answer: {self._malformed}", attributable=True)
        if exit_code is None:
            return ForkServerEnded()
        return DecoderEnded(describe_exit(exit_code), attributable=exit_code != -signal.SIGKILL)

    def _send(self, pieces: list[bytes]) -> None:
        try:
            sent = self._connection.sendmsg(pieces)
        except BlockingIOError:
            sent = 0
        except OSError:
            return  # It has ended; `end` will be called.
        if sent == sum(map(len, pieces)):
            return
        for piece in pieces:
            if sent < len(piece):
                self._unsent.append(memoryview(piece)[sent:])
            sent = max(0, sent - len(piece))
        self._loop.add_writer(self._connection, self._write)

    def _write(self) -> None:
        try:
            sent = self._connection.send(self._unsent[0])
        except BlockingIOError:
            return
        except OSError:
            sent = sum(map(len, self._unsent))
            self._unsent.clear()
        else:
            self._unsent[0] = self._unsent[0][sent:]
            if not self._unsent[0]:
                del self._unsent[0]
        if not self._unsent:
            self._loop.remove_writer(self._connection)

    def _read(self) -> None:
        try:
            data = self._connection.recv(_READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            # The process has ended or will, and the fork server reports it.
            self._loop.remove_reader(self._connection)
            if not self.ended:
                self._kill()
            return
        self._received += data
        try:
            self._take_messages()
        except MalformedAnswer as malformed:
            self._refuse(str(malformed))

    def _take_messages(self) -> None:
        """Deliver the messages that have arrived. Raises MalformedAnswer."""
        while len(self._received) >= HEADER.size:
            size = message_size(self._received, self._body_size)
            if len(self._received) < size:
                return
            # The first answer of a decoder may arrive together with its greeting.
            if len(self._received) > size and self.ready.done():
                raise MalformedAnswer("more than one answer")
            message = bytes(self._received[:size])
            del self._received[:size]
            self._deliver(message)

    def _deliver(self, message: bytes) -> None:
        """Raises MalformedAnswer."""
        if not self.ready.done():
            self.ready.set_result(decode_ready(message))
        elif self._answer is not None and not self._answer.done():
            self._answer.set_result(message)
        else:
            raise MalformedAnswer("an answer to no request")

    def _refuse(self, malformed: str) -> None:
        """Kill a process that does not keep to the protocol."""
        self._malformed = self._malformed or malformed
        if not self.ended:
            self._loop.remove_reader(self._connection)
            self._kill()

    def _read_warnings(self) -> None:
        try:
            data = os.read(self._warnings, _WARNING_BYTES)
        except OSError:
            return
        if not data:
            self._loop.remove_reader(self._warnings)
            return
        self._warning += data[: _WARNING_BYTES - len(self._warning)]
        if self._answer is None:
            self._log_warning()

    def _log_warning(self) -> None:
        """Log what the process wrote during one image. It wrote that before its answer, so it is here as well."""
        if self._warning:
            self._on_warning(self._warning.decode(errors="replace"), self._request_id)
            self._warning = b""
