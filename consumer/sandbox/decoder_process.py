"""The worker's end of one decoder process."""

import asyncio
import os
import signal
import socket
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from consumer.imaging.policy import ImagePolicy
from consumer.sandbox.protocol import (
    CHEAP_BYTES,
    HEADER,
    WARNINGS_MAX,
    Answer,
    Expected,
    Ready,
    Request,
    decode_message,
    decode_ready,
    encode_request,
    message_size,
)
from consumer.sandbox.restrictions.limits import MemoryLimit, limit_for
from consumer.sandbox.run_plan import (
    DecoderEnded,
    DecoderStopped,
    NotExamined,
    NotForked,
    NotStarted,
    Stop,
)
from core.answers import MalformedAnswer
from core.runtime.child_process import describe_exit

_CHEAP_LIMIT_BYTES = 2 * CHEAP_BYTES
"""A cheap image, or a body of that size and what parsing it takes. So no cheap image moves the limit of memory."""
CHEAP_DECODER_BYTES = limit_for(_CHEAP_LIMIT_BYTES)
"""The most memory of a decoder that takes cheap images only."""
_READ_BYTES = 1 << 16
_READS_MAX = 64
"""Reads in one turn of the event loop. A socket holds less than 64 of them."""
_GATHER_S = 0.005
"""While a process holds several images, its answers are read this often, in seconds: so they come in groups. A group
costs the event loop one turn, and its images share calls to AWS."""

OnWarning = Callable[[str, str], None]
"""Called with what a decoder wrote to its standard error, and with the request id."""


def _ignore() -> None:
    pass


@dataclass(slots=True, eq=False)
class Exam:
    """One image in a decoder process."""

    expected: Expected
    request_id: str
    message: asyncio.Future[bytes | bytearray]
    on_answer: Callable[[], None] = _ignore


class DecoderProcess:
    """Examines the images that it holds one after another, so the image of a death is known: the first one.

    The worker calls `begin` when the process is forked, and `end` once, when it is gone. Requests are sent when the
    process has also greeted: then its memory can be limited from outside.

    kill: asks the fork server to kill the process.
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
        self.pid = 0
        self.images = 0
        """Images that it was given."""
        self.ended = False
        self.ready: asyncio.Future[tuple[str, ...]] = asyncio.get_running_loop().create_future()
        """Done when requests can be sent. Its result is the active protections."""
        self._loop = asyncio.get_running_loop()
        self._connection = connection
        self._warnings = warnings
        self._on_warning = on_warning
        self._kill = kill
        self._stop_reason: Stop | None = None
        self._retired = False
        self._malformed = ""
        self._gone: asyncio.Future[Exception] = self._loop.create_future()
        self._exams: deque[Exam] = deque()
        self._greeting: Ready | None = None
        self._limit: MemoryLimit | None = None
        self._has_image = False
        """Whether it was ever sent an image."""
        self._early: list[Request] = []
        """Requests that wait until the process is ready."""
        self._unsent: deque[memoryview] = deque()
        self._received = bytearray()
        self._poll_timer: asyncio.TimerHandle | None = None
        self._is_busy = False
        """Whether an image was sent since the last poll."""
        self._loop.add_reader(connection, self._read)

    @property
    def usable(self) -> bool:
        """Whether the process can take another image, as far as it is known."""
        return not (self.ended or self._stop_reason or self._malformed)

    def is_examining(self, exam: Exam) -> bool:
        """Return whether this is its first image, after reading the answers that have arrived."""
        if not self.ended:
            self._read()
        return bool(self._exams) and self._exams[0] is exam

    def start(self, request: Request, request_id: str) -> Exam:
        """Send a body. `finish` waits for the answer."""
        exam = Exam(request.expected, request_id, self._loop.create_future())
        if self.ended:
            exam.message.set_exception(self._gone.result())
            return exam
        self.images += 1
        self._exams.append(exam)
        self._is_busy = True
        if self._limit is None:
            self._early.append(request)
        else:
            self._submit(request, self._limit)
        if len(self._exams) > 1 and self._poll_timer is None:
            self._loop.remove_reader(self._connection)
            self._poll_timer = self._loop.call_later(_GATHER_S, self._poll)
        return exam

    async def finish(self, exam: Exam, policy: ImagePolicy) -> Answer:
        """Return the answer. Raises DecoderEnded, DecoderStopped or NotExamined when the process is gone."""
        message = await exam.message
        try:
            reply = decode_message(message, exam.expected, policy)
        except MalformedAnswer as malformed:
            self._refuse(str(malformed))
            raise await asyncio.shield(self._gone) from malformed
        if reply.warnings:
            self._on_warning(reply.warnings, exam.request_id)
        return reply.answer

    def when_answered(self, exam: Exam, call: Callable[[], None]) -> None:
        """Call `call` when the process has answered or is gone, which may be now. A cancelled image is examined too."""
        if exam in self._exams:
            exam.on_answer = call
        else:
            call()

    def begin(self, pid: int) -> None:
        """Note that the process is forked."""
        self.pid = pid
        self._begin()

    def _begin(self) -> None:
        """Limit the memory of the process and send the first requests, if it is forked and has greeted."""
        if not self.pid or self._greeting is None:
            return
        self._limit = MemoryLimit(self.pid, self._greeting.data_bytes)
        limited = self._limit.allow(_CHEAP_LIMIT_BYTES)
        if not self.ready.done():  # It may be cancelled.
            names = ("memory_per_image",) if limited else ()
            self.ready.set_result((*self._greeting.protections, *names))
        for request in self._early:
            self._submit(request, self._limit)
        self._early.clear()

    def _submit(self, request: Request, limit: MemoryLimit) -> None:
        # The process has no other image if the limit changes: only cheap ones come in groups.
        limit.allow(max(request.memory_bytes, _CHEAP_LIMIT_BYTES))
        self._has_image = True
        self._send(encode_request(request))

    def stop(self, reason: Stop) -> None:
        """Kill the process. Its first image, if there is one, ends with DecoderStopped when the process is gone."""
        if self.usable:
            self._stop_reason = reason
            self._kill()

    def retire(self) -> None:
        """Kill the process when it has answered all its images. It gets no further one."""
        self._retired = True
        if not self._exams:
            self.stop(Stop.REPLACED)

    def cpu_seconds(self) -> float | None:
        """Return the CPU time of the process in seconds, None if the system does not tell."""
        if not self.pid:
            return None
        try:
            # CPUCLOCK_SCHED of another process: include/linux/posix-timers.h.
            return time.clock_gettime(~self.pid << 3 | 2)
        except OSError:
            return None

    def end(self, end: int | DecoderEnded) -> None:
        """Note that the process is gone. `end` is the exit code, or the reason if there is none."""
        if self.ended:
            return
        self.ended = True
        self._read()  # Its last answers.
        self._stop_reading()
        self._loop.remove_writer(self._connection)
        self._connection.close()
        self._log_last_words()
        error = self._error(end)
        self._gone.set_result(error)
        for exam in self._exams:
            if not exam.message.done():
                exam.message.set_exception(error)
            error = NotExamined()
        exams = tuple(self._exams)
        self._exams.clear()
        self._early.clear()
        for exam in exams:
            exam.on_answer()
        if not self.ready.done():
            self.ready.set_exception(self._gone.result())
            # Nobody may wait for it, and asyncio would report that.
            self.ready.exception()

    def _log_last_words(self) -> None:
        """Log what the process wrote to its standard error during its last image, such as the reason of its death."""
        try:
            text = os.read(self._warnings, WARNINGS_MAX)
        except BlockingIOError:
            text = b""
        os.close(self._warnings)
        if text:
            request_id = self._exams[0].request_id if self._exams else ""
            self._on_warning(text.decode(errors="replace"), request_id)

    def _error(self, end: int | DecoderEnded) -> Exception:
        if self._stop_reason:
            return DecoderStopped(self._stop_reason)
        if isinstance(end, NotForked):
            return end
        if not self._has_image:
            reason = str(end) if isinstance(end, DecoderEnded) else describe_exit(end)
            return NotStarted(self._malformed or reason)
        if isinstance(end, DecoderEnded):
            return end
        if self._malformed:
            return DecoderEnded(f"invalid answer: {self._malformed}", attributable=True)
        return DecoderEnded(describe_exit(end), attributable=end != -signal.SIGKILL)

    def _send(self, pieces: list[bytes]) -> None:
        sent = 0
        if not self._unsent:
            try:
                sent = self._connection.sendmsg(pieces)
            except BlockingIOError:
                pass
            except OSError:
                return  # It has ended; `end` will be called.
            if sent == sum(map(len, pieces)):
                return
            self._loop.add_writer(self._connection, self._write)
        for piece in pieces:
            if sent < len(piece):
                self._unsent.append(memoryview(piece)[sent:])
            sent = max(0, sent - len(piece))

    def _write(self) -> None:
        try:
            sent = self._connection.send(self._unsent[0])
        except BlockingIOError:
            return
        except OSError:
            self._unsent.clear()
        else:
            if sent < len(self._unsent[0]):
                self._unsent[0] = self._unsent[0][sent:]
            else:
                self._unsent.popleft()
        if not self._unsent:
            self._loop.remove_writer(self._connection)

    def _poll(self) -> None:
        """Read a group of answers. If no image followed the last one, the next answer is read at once again.

        Not after each group: to remove and add a reader takes 3 µs.
        """
        self._poll_timer = None
        self._read()
        if not self.usable:
            return
        was_busy, self._is_busy = self._is_busy, False
        if self._exams or was_busy:
            self._poll_timer = self._loop.call_later(_GATHER_S, self._poll)
        else:
            self._loop.add_reader(self._connection, self._read)

    def _read(self) -> None:
        """Take what has arrived. A short read has emptied the socket."""
        for _ in range(_READS_MAX):
            if self._read_once() < _READ_BYTES or self._malformed:
                return

    def _read_once(self) -> int:
        """Read, deliver whole messages, and return the number of bytes."""
        try:
            data = self._connection.recv(_READ_BYTES)
        except BlockingIOError:
            return 0
        except OSError:
            data = b""
        if not data:
            # The process has ended or will, and the fork server reports it.
            self._stop_reading()
            if not self.ended:
                self._kill()
            return 0
        self._received += data
        try:
            self._take_messages()
        except MalformedAnswer as malformed:
            self._refuse(str(malformed))
        return len(data)

    def _stop_reading(self) -> None:
        self._loop.remove_reader(self._connection)
        if self._poll_timer is not None:
            self._poll_timer.cancel()
            self._poll_timer = None

    def _take_messages(self) -> None:
        """Deliver the messages that have arrived. Raises MalformedAnswer."""
        while len(self._received) >= HEADER.size:
            greeted = self._greeting is not None
            data_max = self._exams[0].expected.data_max if greeted and self._exams else 0
            size = message_size(self._received, data_max)
            if len(self._received) < size:
                return
            # No request is sent before the greeting.
            expected = len(self._exams) if greeted else 1
            if expected == 0 or (expected == 1 and len(self._received) > size):
                raise MalformedAnswer("more answers than images")
            message = self._take(size)
            if greeted:
                answered = self._exams.popleft()
                if not answered.message.done():  # It may be cancelled.
                    answered.message.set_result(message)
                answered.on_answer()
                if self._retired and not self._exams:
                    self.stop(Stop.REPLACED)
            else:
                self._greeting = decode_ready(message)
                self._begin()

    def _take(self, size: int) -> bytes | bytearray:
        """Return and remove the first `size` bytes. A single message, which may be large, is not copied."""
        if size == len(self._received):
            message, self._received = self._received, bytearray()
            return message
        first = bytes(self._received[:size])
        del self._received[:size]
        return first

    def _refuse(self, malformed: str) -> None:
        """Kill a process that does not keep to the protocol."""
        self._malformed = self._malformed or malformed
        if not self.ended:
            self._stop_reading()
            self._kill()
