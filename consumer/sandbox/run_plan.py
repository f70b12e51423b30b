"""The endings of a run without a result, and the run that follows each: decisions without side effects."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from consumer.imaging.result import Examination, FailedRendition
from consumer.sandbox.protocol import CHEAP_BYTES, Answer, Expensive, Fault
from core.errors import Crashed, DecodeLimit, ImageFailure, TooManyPixels

Result = Examination | ImageFailure | Fault

_FORK_SERVERS_MAX = 5
"""Runs of one image that may end because the fork server ended while a decoder had the image."""
_NOT_STARTED_MAX = 5
"""Runs of one image that may end because the decoder ended before it had an image."""


class DecoderEnded(Exception):
    """The process has ended without a valid answer. The image may be the reason, but need not.

    attributable: False if the process was killed by a SIGKILL that was not ours, which is how the kernel ends a process
        when memory is short.
    """

    def __init__(self, reason: str, *, attributable: bool) -> None:
        super().__init__(reason)
        self.attributable = attributable

    @property
    def label(self) -> str:
        """The reason in the metric."""
        return "died" if self.attributable else "killed"


class NotExamined(Exception):
    """The process has ended with an earlier image."""


class ForkServerEnded(DecoderEnded):
    """The process was killed because its fork server had ended."""

    def __init__(self) -> None:
        super().__init__("the fork server ended", attributable=False)

    @property
    def label(self) -> str:
        return "fork_server"


class NotStarted(DecoderEnded):
    """The process ended before it got an image, so no image is the reason."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason, attributable=False)

    @property
    def label(self) -> str:
        return "not_started"


class NotForked(DecoderEnded):
    """The system refused a new process."""

    def __init__(self, code: int) -> None:
        super().__init__(f"fork failed: {os.strerror(code)}", attributable=False)

    @property
    def label(self) -> str:
        return "not_forked"


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


@dataclass(frozen=True, slots=True)
class Run:
    """How an image is examined next.

    memory_bytes: what the decoder may use for it.
    expensive: in which lane.
    charged: whether a decoder has told what the image needs.
    fresh: by a decoder that has examined nothing before, because an earlier run may have left it in a bad state.
    alone: without another expensive image, because memory may have been short.
    isolated: an earlier run may have killed the worker. So one at a time, by a fresh decoder of its own, and an
        expensive image also without another expensive one: a further death then has one possible reason.
    fork_servers: how often the fork server ended meanwhile.
    not_started: how often a decoder ended before it had the image.
    renditions: those to make.
    """

    memory_bytes: int = CHEAP_BYTES
    expensive: bool = False
    charged: bool = False
    fresh: bool = False
    alone: bool = False
    isolated: bool = False
    fork_servers: int = 0
    not_started: int = 0
    renditions: tuple[str, ...] = ()

    @property
    def needs_fresh_decoder(self) -> bool:
        return self.fresh or self.isolated

    @property
    def needs_whole_decoder(self) -> bool:
        """Whether no decoder may hold another image meanwhile."""
        return self.expensive or self.isolated

    @property
    def needs_whole_budget(self) -> bool:
        return self.alone or self.isolated


def first_run(
    body_size: int, renditions: tuple[str, ...], budget_bytes: int, *, isolated: bool = False
) -> Run | Result:
    """Examine an image as a cheap one, unless its body alone is too large for that. Refuse it above the budget."""
    if body_size <= CHEAP_BYTES:
        return Run(renditions=renditions, isolated=isolated)
    memory_bytes = body_size + CHEAP_BYTES
    if memory_bytes > budget_bytes:
        return _too_large(memory_bytes, budget_bytes)
    return Run(memory_bytes, expensive=True, isolated=isolated, renditions=renditions)


def after_answer(run: Run, answer: Answer, budget_bytes: int) -> Run | Result:
    """Take the answer as the result, or move the image to the expensive lane. Refuse it above the budget."""
    match answer:
        case Expensive(charge) if charge > budget_bytes:
            return _too_large(charge, budget_bytes)
        case Expensive(charge) if not run.charged:
            memory_bytes = max(charge, CHEAP_BYTES)
            return replace(run, expensive=True, charged=True, memory_bytes=memory_bytes)
        case Expensive():
            return Fault("the charges of two decoders differ")
        case DecodeLimit() if not run.needs_fresh_decoder:
            # Earlier images may have left too little of the decoder's memory.
            return replace(run, expensive=True, fresh=True)
        case _:
            return answer


def _too_large(charge: int, budget_bytes: int) -> TooManyPixels:
    return TooManyPixels(f"decoding it takes {charge:,} bytes, at most {budget_bytes:,}")


def after_stop(run: Run, reason: Stop) -> Run | Result:
    """Move an image that is not as cheap as it seemed. Fail one that exceeds a limit.

    Repeat one that is not the reason: the worker stopped its decoder.
    """
    if reason in (Stop.REPLACED, Stop.CANCELLED):
        return run
    if reason is Stop.CHEAP_CPU_LIMIT:
        return replace(run, expensive=True)
    if reason is Stop.STALLED and not run.needs_fresh_decoder:
        # An earlier image may have left the decoder in a bad state, or somebody stopped the process.
        return replace(run, expensive=True, fresh=True)
    return DecodeLimit(reason)


def after_end(run: Run, ended: DecoderEnded) -> Run | Result:
    """Run the image once more, in a fresh decoder. A second death is the image's fault.

    A death from outside is not, until the image was decoded alone. Raises NotStarted if too many decoders ended before
    they had the image.
    """
    if isinstance(ended, NotStarted):
        if run.not_started >= _NOT_STARTED_MAX:
            raise ended
        return replace(run, not_started=run.not_started + 1)
    server_ended = isinstance(ended, ForkServerEnded)
    if server_ended and run.fork_servers < _FORK_SERVERS_MAX:
        return replace(run, fork_servers=run.fork_servers + 1)
    if run.fresh and (ended.attributable or run.alone or server_ended):
        return Crashed()
    return replace(run, expensive=True, fresh=True, alone=not ended.attributable)


def without_renditions(result: Result, names: Sequence[str], failure: ImageFailure) -> Result:
    """Report that the renditions failed, if the image is good without them."""
    if not isinstance(result, Examination):
        return result
    failed = (FailedRendition(name, failure.code.value, str(failure)) for name in names)
    return replace(result, renditions=tuple(failed))
