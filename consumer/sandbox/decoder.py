"""A decoder process: examines one body after another until the worker closes the connection."""

import gc
import os
import resource
import socket
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from consumer.imaging.inspection import examine, probe
from consumer.imaging.policy import ImagePolicy
from consumer.sandbox.protocol import (
    CHEAP_BYTES,
    WARNINGS_MAX,
    Answer,
    Expensive,
    Fault,
    Ready,
    Request,
    encode_answer,
    receive_request,
)
from consumer.sandbox.restrictions import restrict
from core.errors import CorruptImage, DecodeLimit, ImageFailure

_CHEAP_PIXELS = 16_000_000
"""Work of a cheap image, see `consumer.imaging.limits.estimate_work`."""
_STEP_BYTES = CHEAP_BYTES
_SLACK_BYTES = 16 * 1024 * 1024
"""Memory above the charge: what the allocator keeps of earlier images, and fragmentation."""

_RETRY_BYTES = 64 * 1024 * 1024

Examiner = Callable[[Request, ImagePolicy], Answer]
"""Answers one request. Tests of hostile decoders replace it."""


def run_decoder(
    connection: socket.socket,
    warnings: int,
    policy: ImagePolicy,
    examiner: Examiner,
    memory_bytes: int,
) -> None:
    """Serve the worker until it closes its end. Raises OSError if it dies meanwhile.

    warnings: the other end of standard error, which does not block.
    memory_bytes: the most that any request may allow.
    """
    memory = _MemoryLimit()
    protections = restrict(memory_bytes + _STEP_BYTES + _SLACK_BYTES)
    connection.sendall(encode_answer(Ready(protections)))
    while (request := receive_request(connection, memory.allow)) is not None:
        answer = _answer(request, policy, examiner)
        if isinstance(answer, CorruptImage) and answer.__cause__ and memory.widen():
            # A library may report damage when it gets no memory, of which earlier images left too little.
            answer = _answer(request, policy, examiner)
        connection.sendall(encode_answer(answer, _read_warnings(warnings)))
        if request.memory_bytes > CHEAP_BYTES:
            # The traceback of a failure may be part of a cycle that holds the pixels.
            del answer
            gc.collect()


def _answer(request: Request, policy: ImagePolicy, examiner: Examiner) -> Answer:
    try:
        return examiner(request, policy)
    except ImageFailure as failure:
        return failure
    except MemoryError:
        return DecodeLimit("it needs more memory than its size explains")
    except Exception as fault:  # noqa: BLE001  whatever it is, the worker needs an answer
        with suppress(BlockingIOError):
            sys.stderr.write(traceback.format_exc())
            sys.stderr.flush()
        return Fault(type(fault).__name__)


def _read_warnings(warnings: int) -> str:
    """Return what this process and its libraries have written to standard error since the last call."""
    try:
        return os.read(warnings, WARNINGS_MAX).decode(errors="replace")
    except BlockingIOError:
        return ""


def examine_request(request: Request, policy: ImagePolicy) -> Answer:
    """Examine a body, or return its charge if that is more than the request allows. Raises ImageFailure."""
    probed = probe(request.body, policy, request.renditions)
    expensive = probed.decode_bytes > request.memory_bytes
    if expensive or (request.cheap_only and probed.work_pixels > _CHEAP_PIXELS):
        return Expensive(probed.decode_bytes)
    return examine(request.body, policy, probed, request.renditions)


class _MemoryLimit:
    """The soft limit of this process's private memory (RLIMIT_DATA): what it has at its start, plus a charge.

    An allocation above it fails, and Python raises MemoryError.
    """

    def __init__(self) -> None:
        self._base = _data_bytes()
        self._allowed = 0

    def allow(self, size: int) -> None:
        """Allow `size` bytes, rounded up so that most requests change nothing."""
        if not self._base:
            return
        allowed = -(-size // _STEP_BYTES) * _STEP_BYTES
        if allowed != self._allowed:
            _, hard = resource.getrlimit(resource.RLIMIT_DATA)
            soft = min(self._base + allowed + _SLACK_BYTES, hard)
            resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))
            self._allowed = allowed

    def widen(self) -> bool:
        """Allow _RETRY_BYTES more until the next `allow`. Returns False if there is no limit, or no room below it."""
        soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
        if not self._base or soft >= hard:
            return False
        resource.setrlimit(resource.RLIMIT_DATA, (min(soft + _RETRY_BYTES, hard), hard))
        self._allowed = 0
        return True


def _data_bytes() -> int:
    """Return the private writable memory of this process, as RLIMIT_DATA counts it. 0 on systems other than Linux."""
    if sys.platform != "linux":
        return 0
    pages = int(Path("/proc/self/statm").read_bytes().split()[5])
    return pages * os.sysconf("SC_PAGE_SIZE")
