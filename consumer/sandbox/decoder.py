"""A decoder process: examines one body after another until the worker closes the connection."""

import gc
import mmap
import os
import socket
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from warnings import simplefilter

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
_ROOM_BYTES = 8 * 1024 * 1024
"""Free memory beside the charge, without which a failed allocation may be the reason of a damage."""
_PIPE_MAX = 65_536
"""Bytes that a pipe holds. All are read, so that none is reported with the next image."""

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
    memory_bytes: the most that it may ever use. The worker sets the limit for each image, within this one.
    """
    # Python would report a warning only for the first image that causes it.
    simplefilter("always")
    data_bytes = _data_bytes()
    protections = restrict(memory_bytes)
    connection.sendall(encode_answer(Ready(protections, data_bytes)))
    used = False
    while (request := receive_request(connection)) is not None:
        answer = _answer(request, policy, examiner)
        if used and isinstance(answer, CorruptImage) and answer.__cause__:
            answer = _verify(answer, request.memory_bytes)
        used = True
        connection.sendall(encode_answer(answer, _read_warnings(warnings)))
        expensive = request.memory_bytes > CHEAP_BYTES
        # The memory for the next body does not include this one.
        del request, answer
        if expensive:
            # The traceback of a failure may be part of a cycle that holds the pixels.
            gc.collect()


def _verify(corrupt: CorruptImage, memory_bytes: int) -> ImageFailure:
    """Return the failure, or DecodeLimit if earlier images left too little memory to be sure of it.

    A library may report damage when it gets no memory. After a DecodeLimit the worker asks a fresh decoder.
    """
    corrupt.__traceback__ = corrupt.__cause__ = corrupt.__context__ = None
    gc.collect()
    try:
        mmap.mmap(-1, memory_bytes + _ROOM_BYTES, flags=mmap.MAP_PRIVATE | mmap.MAP_ANON).close()
    except OSError:
        return DecodeLimit("earlier images left too little memory")
    return corrupt


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
    """Return the start of what this process and its libraries have written to standard error since the last call."""
    try:
        return os.read(warnings, _PIPE_MAX)[:WARNINGS_MAX].decode(errors="replace")
    except BlockingIOError:
        return ""


def examine_request(request: Request, policy: ImagePolicy) -> Answer:
    """Examine a body, or return its charge if that is more than the request allows. Raises ImageFailure."""
    probed = probe(request.body, policy, request.renditions)
    expensive = probed.decode_bytes > request.memory_bytes
    if expensive or (request.cheap_only and probed.work_pixels > _CHEAP_PIXELS):
        return Expensive(probed.decode_bytes)
    return examine(request.body, policy, probed, request.renditions)


def _data_bytes() -> int:
    """Return the private writable memory of this process, as RLIMIT_DATA counts it. 0 on systems other than Linux."""
    if sys.platform != "linux":
        return 0
    pages = int(Path("/proc/self/statm").read_bytes().split()[5])
    return pages * os.sysconf("SC_PAGE_SIZE")
