"""Memory and CPU of the processes under test, by name."""

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import psutil

_MIB = 1024 * 1024

_SAMPLES_OF_A_FAMILY = 15
"""After which children are looked for again: that reads every process of the machine."""


@dataclass(frozen=True, slots=True)
class ProcessSample:
    """Of a process together with its children."""

    cpu_seconds: float
    """User and system time since the process began."""
    memory_mib: float
    """Resident."""


Pids = Mapping[str, int]
"""Process ids by name: "server", "consumer 1", "embedded AWS"."""


class ProcessSampler:
    """Follows named processes; one that has ended is left out, and its CPU time with it.

    `pids` is asked at each sample, so that a process that was started again is found under its name.
    """

    def __init__(self, pids: Callable[[], Pids]) -> None:
        self._pids = pids
        self._families: dict[int, tuple[psutil.Process, ...]] = {}
        self._samples = 0

    def sample(self) -> dict[str, ProcessSample]:
        if self._samples % _SAMPLES_OF_A_FAMILY == 0:
            self._families.clear()
        self._samples += 1
        samples = {}
        for name, pid in self._pids().items():
            try:
                samples[name] = self._of(pid)
            except psutil.Error:
                self._families.pop(pid, None)
        return samples

    def _of(self, pid: int) -> ProcessSample:
        cpu, memory = 0.0, 0
        for member in self._family(pid):
            with member.oneshot():
                times = member.cpu_times()
                cpu += times.user + times.system
                memory += member.memory_info().rss
        return ProcessSample(cpu, memory / _MIB)

    def _family(self, pid: int) -> tuple[psutil.Process, ...]:
        """This process's own children are other names' processes, or nobody's."""
        if pid not in self._families:
            process = psutil.Process(pid)
            children = [] if pid == os.getpid() else process.children(recursive=True)
            self._families[pid] = (process, *children)
        return self._families[pid]


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
