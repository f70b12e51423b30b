"""One run of a message, as it is measured: for the metric of the pipeline's steps, and for the log line of its end."""

import time
from dataclasses import dataclass, field
from typing import Self

from consumer.metrics import STEP_SECONDS
from core.model.message import ImageMessage, Lane
from core.runtime.metrics import histogram


@dataclass(slots=True)
class Run:
    """`attempts` counts requests to the origin, in earlier runs too. `pending_since` and `lane` are the message's."""

    pending_since: int
    attempts: int
    lane: Lane = Lane.INTERACTIVE
    step_seconds: dict[str, float] = field(default_factory=dict)
    """Seconds of each step that has ended, in order. The last one may have failed."""
    operator_detail: str = ""
    """That of the last failed attempt, for the log only."""

    @classmethod
    def of(cls, message: ImageMessage, lane: Lane = Lane.INTERACTIVE) -> Self:
        return cls(message.pending_since, message.attempts, lane)

    def step(self, name: str) -> "_Step":
        """Return a context manager that measures a step. Only a step that succeeds is in the metric."""
        return _Step(self, name)


class _Step:
    # A class, because contextlib.contextmanager takes three times as long.

    __slots__ = ("_name", "_run", "_started")

    def __init__(self, run: Run, name: str) -> None:
        self._run = run
        self._name = name

    def __enter__(self) -> None:
        self._started = time.perf_counter()

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        seconds = time.perf_counter() - self._started
        self._run.step_seconds[self._name] = seconds
        if kind is None:
            histogram(STEP_SECONDS, self._name).observe(seconds)
