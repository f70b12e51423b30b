"""Memory and CPU of the processes under test, by name."""

import os
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass

import psutil

_MIB = 1024 * 1024

_SAMPLES_OF_A_FAMILY = 15
"""After which children are looked for again: that reads every process of the machine."""


@dataclass(frozen=True, slots=True)
class ProcessSample:
    """Of a process together with its children."""

    cpu_seconds: float
    """User and system time since it began, over all of its lives."""
    memory_mib: float
    """Resident."""


Pids = Mapping[str, int]
"""Process ids by name: "server", "consumer 1", "embedded AWS"."""


@dataclass(slots=True)
class _Life:
    """One process under a name, from its first sample."""

    pid: int
    family: tuple[psutil.Process, ...]
    cpu_seconds: float = 0.0
    """Never less than before: what a child has spent stays spent when it ends."""


class ProcessSampler:
    """Follows named processes. One that is not there is left out; the CPU time of its earlier lives is kept.

    `pids` is asked at each sample, so that a process that was started again is found under its name.
    """

    def __init__(self, pids: Callable[[], Pids]) -> None:
        self._pids = pids
        self._lives: dict[str, _Life] = {}
        self._spent: defaultdict[str, float] = defaultdict(float)
        """Seconds of CPU of lives that are over, by name."""
        self._samples = 0

    def sample(self) -> dict[str, ProcessSample]:
        renew = self._samples % _SAMPLES_OF_A_FAMILY == 0
        self._samples += 1
        samples = {}
        for name, pid in self._pids().items():
            try:
                samples[name] = self._of(name, self._life(name, pid, renew=renew))
            except psutil.Error:
                self._over(name)
        return samples

    def _life(self, name: str, pid: int, *, renew: bool) -> _Life:
        life = self._lives.get(name)
        if life is not None and life.pid != pid:
            self._over(name)
            life = None
        if life is None:
            life = self._lives[name] = _Life(pid, _family(pid))
        elif renew:
            life.family = _family(pid)
        return life

    def _over(self, name: str) -> None:
        life = self._lives.pop(name, None)
        if life is not None:
            self._spent[name] += life.cpu_seconds

    def _of(self, name: str, life: _Life) -> ProcessSample:
        """Raises psutil.NoSuchProcess where the process itself has ended; a child may."""
        head, *children = life.family
        cpu, memory = _used(head, with_ended=life.pid != os.getpid())
        for child in children:
            with suppress(psutil.Error):
                spent, resident = _used(child)
                cpu, memory = cpu + spent, memory + resident
        life.cpu_seconds = max(life.cpu_seconds, cpu)
        return ProcessSample(self._spent[name] + life.cpu_seconds, memory / _MIB)


def _family(pid: int) -> tuple[psutil.Process, ...]:
    """This process's own children are other names' processes, or nobody's."""
    process = psutil.Process(pid)
    children = [] if pid == os.getpid() else process.children(recursive=True)
    return (process, *children)


def _used(process: psutil.Process, *, with_ended: bool = True) -> tuple[float, int]:
    """CPU seconds, those of children that ended and were waited for included, and resident bytes."""
    with process.oneshot():
        times = process.cpu_times()
        ended = times.children_user + times.children_system if with_ended else 0.0
        return times.user + times.system + ended, process.memory_info().rss


class CpuRates:
    """Cores used between two samples."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._before: Mapping[str, ProcessSample] = {}
        self._at = clock()

    def since_last(self, samples: Mapping[str, ProcessSample]) -> dict[str, float]:
        now = self._clock()
        passed = max(now - self._at, 1e-9)
        rates = {
            # A process that was started again has less than before: what it has is new.
            name: max(0.0, sample.cpu_seconds - self._before[name].cpu_seconds) / passed
            for name, sample in samples.items()
            if name in self._before
        }
        self._before, self._at = dict(samples), now
        return rates
