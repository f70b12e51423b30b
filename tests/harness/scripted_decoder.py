"""A decoder that executes a command in the body instead of decoding it. For tests of limits and deaths.

A body is a command and its argument: `cpu 0.5`, `die SIGSEGV`. Without a command it is an image of 640 x 480 pixels.
All renditions fail.
"""

import os
import signal
import sys
import time
from collections.abc import Callable

from consumer.imaging.policy import ImagePolicy
from consumer.imaging.result import Examination, FailedRendition
from consumer.sandbox.protocol import Answer, Expensive, Request
from core.errors import CorruptImage
from harness.image_metadata import METADATA, as_examined

EXAMINER = "harness.scripted_decoder:examine_by_script"
CONNECTION_FD = 3
_METADATA = as_examined(METADATA)
_images = 0


def examine_by_script(request: Request, _policy: ImagePolicy) -> Answer:
    global _images  # noqa: PLW0603  a process is an object of its own
    _images += 1
    command, _, argument = request.body.partition(b" ")
    script = _SCRIPTS.get(command.decode("ascii", "replace"))
    answer = script(argument, request) if script else None
    failed = tuple(FailedRendition(name, "INTERNAL", "no script") for name in request.renditions)
    return answer or Examination(_METADATA, (), len(request.body), failed)


def _use_cpu(argument: bytes, _request: Request) -> None:
    """Use this number of seconds of CPU time."""
    end = time.process_time() + float(argument)
    while time.process_time() < end:
        pass


def _sleep(argument: bytes, _request: Request) -> None:
    time.sleep(float(argument))


def _die(argument: bytes, _request: Request) -> None:
    """Die by a signal, or with an exit status."""
    if argument.isdigit():
        os._exit(int(argument))
    signal.raise_signal(signal.Signals[argument.decode()])


def _die_if_used(argument: bytes, request: Request) -> None:
    """Die unless this is the first image of the process."""
    if _images > 1:
        _die(argument, request)


def _allocate(argument: bytes, _request: Request) -> None:
    """Allocate this number of MiB."""
    bytearray(int(argument) << 20)


def _charge(argument: bytes, request: Request) -> Answer | None:
    """Need this number of MiB, and use them."""
    size = int(argument) << 20
    if size > request.memory_bytes:
        return Expensive(size)
    bytearray(size)
    return None


def _overcharge(_argument: bytes, request: Request) -> Answer:
    """Need more than any request allows."""
    return Expensive(request.memory_bytes + 1)


def _hang_up(_argument: bytes, _request: Request) -> None:
    os.close(CONNECTION_FD)
    time.sleep(3600)


def _warn(argument: bytes, _request: Request) -> None:
    sys.stderr.write(argument.decode())
    sys.stderr.flush()


def _fail(_argument: bytes, _request: Request) -> None:
    raise RuntimeError("a bug")


def _fail_if_renditions(argument: bytes, request: Request) -> None:
    if request.renditions:
        _fail(argument, request)


def _describe(argument: bytes, _request: Request) -> Answer:
    """Answer with a fact about the process."""
    facts: dict[bytes, Callable[[], object]] = {
        b"environment": lambda: sorted(os.environ),
        b"images": lambda: _images,
    }
    return CorruptImage(str(facts[argument]()))


_SCRIPTS: dict[str, Callable[[bytes, Request], Answer | None]] = {
    "cpu": _use_cpu,
    "sleep": _sleep,
    "die": _die,
    "die-if-used": _die_if_used,
    "allocate": _allocate,
    "charge": _charge,
    "overcharge": _overcharge,
    "hang-up": _hang_up,
    "warn": _warn,
    "fail": _fail,
    "fail-if-renditions": _fail_if_renditions,
    "describe": _describe,
}
