"""Kills decoders whose image takes too much CPU time. RLIMIT_CPU counts all images of a process together."""

import asyncio
import time
from dataclasses import dataclass

from consumer.sandbox.decoder_process import DecoderProcess, Exam
from consumer.sandbox.run_plan import Stop

_TICK_S = 0.05
_STALL_TICKS = 200
"""A decoder that uses no CPU during this number of ticks (10 s) sleeps. Counted in ticks, so that a pause of the worker
itself counts as one."""


@dataclass(slots=True, eq=False)
class Watch:
    """One run of an image. The first tick that sees it examined starts its clock: most images end before that."""

    decoder: DecoderProcess
    exam: Exam
    limit_s: float
    reason: Stop
    _started_s: float | None = None
    _last_s: float = 0.0
    _stalled: int = 0

    def check(self) -> None:
        if not self.decoder.pid or not self.decoder.is_examining(self.exam):
            return
        used_s = self.decoder.cpu_seconds()
        now_s = time.monotonic() if used_s is None else used_s
        if self._started_s is None:
            self._started_s = now_s
        self._stalled = self._stalled + 1 if now_s == self._last_s else 0
        self._last_s = now_s
        if now_s - self._started_s > self.limit_s:
            self.decoder.stop(self.reason)
        elif self._stalled >= _STALL_TICKS:
            self.decoder.stop(Stop.STALLED)


class CpuLimits:
    """Checks all runs, with one timer while there are any."""

    def __init__(self) -> None:
        self.watches: set[Watch] = set()
        self._timer: asyncio.TimerHandle | None = None

    def add(self, watch: Watch) -> None:
        self.watches.add(watch)
        if self._timer is None:
            self._start()

    def remove(self, watch: Watch) -> None:
        self.watches.discard(watch)

    def _start(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(_TICK_S, self._tick)

    def _tick(self) -> None:
        self._timer = None
        for watch in tuple(self.watches):
            watch.check()
        if self.watches:
            self._start()
