"""Sample memory and CPU of processes by name."""

import os
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass

import psutil

_MIB = 1024 * 1024

_SAMPLES_PER_SCAN = 15
"""Samples between two scans for children. A scan reads every process of the machine."""


@dataclass(frozen=True, slots=True)
class ProcessSample:
    """Of a process and its children."""

    cpu_seconds: float
    """User and system time since the first start, over all restarts."""
    memory_mib: float
    """Resident."""


Pids = Mapping[str, int]
"""Process ids by name, such as "server", "consumer 1" or "embedded AWS"."""


@dataclass(slots=True)
class _Instance:
    """One process under a name, from its first sample on."""

    pid: int
    family: tuple[psutil.Process, ...]
    cpu_seconds: float = 0.0
    """Never decreases: the time of a child still counts after it has ended."""


class ProcessSampler:
    """Samples named processes. A missing process is omitted; the CPU time of its earlier instances is kept.

    `pids` is called at each sample, so that a restarted process is found under its name.
    """

    def __init__(self, pids: Callable[[], Pids]) -> None:
        self._pids = pids
        self._instances: dict[str, _Instance] = {}
        self._spent: defaultdict[str, float] = defaultdict(float)
        """CPU seconds of ended instances by name."""
        self._samples = 0

    def sample(self) -> dict[str, ProcessSample]:
        rescan = self._samples % _SAMPLES_PER_SCAN == 0
        self._samples += 1
        samples = {}
        for name, pid in self._pids().items():
            try:
                samples[name] = self._of(name, self._instance(name, pid, rescan=rescan))
            except psutil.Error:
                self._ended(name)
        return samples

    def _instance(self, name: str, pid: int, *, rescan: bool) -> _Instance:
        instance = self._instances.get(name)
        if instance is not None and instance.pid != pid:
            self._ended(name)
            instance = None
        if instance is None:
            instance = self._instances[name] = _Instance(pid, _family(pid))
        elif rescan:
            instance.family = _family(pid)
        return instance

    def _ended(self, name: str) -> None:
        instance = self._instances.pop(name, None)
        if instance is not None:
            self._spent[name] += instance.cpu_seconds

    def _of(self, name: str, instance: _Instance) -> ProcessSample:
        """Raises psutil.NoSuchProcess if the process has ended. Ended children are ignored."""
        head, *children = instance.family
        cpu, memory = _used(head, with_ended=instance.pid != os.getpid())
        for child in children:
            with suppress(psutil.Error):
                spent, resident = _used(child)
                cpu, memory = cpu + spent, memory + resident
        instance.cpu_seconds = max(instance.cpu_seconds, cpu)
        return ProcessSample(self._spent[name] + instance.cpu_seconds, memory / _MIB)


def _family(pid: int) -> tuple[psutil.Process, ...]:
    """Return the process and its children. Children of this process have names of their own, or none."""
    process = psutil.Process(pid)
    children = [] if pid == os.getpid() else process.children(recursive=True)
    return (process, *children)


def _used(process: psutil.Process, *, with_ended: bool = True) -> tuple[float, int]:
    """Return CPU seconds, including those of children that ended and were waited for, and resident bytes."""
    with process.oneshot():
        times = process.cpu_times()
        ended = times.children_user + times.children_system if with_ended else 0.0
        return times.user + times.system + ended, process.memory_info().rss


class CpuRates:
    """Computes the used cores between two samples."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._before: Mapping[str, ProcessSample] = {}
        self._at = clock()

    def since_last(self, samples: Mapping[str, ProcessSample]) -> dict[str, float]:
        now = self._clock()
        passed = max(now - self._at, 1e-9)
        rates = {
            # A restarted process may have less than before; its time is new.
            name: max(0.0, sample.cpu_seconds - self._before[name].cpu_seconds) / passed
            for name, sample in samples.items()
            if name in self._before
        }
        self._before, self._at = dict(samples), now
        return rates
