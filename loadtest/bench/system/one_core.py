"""Holds measured processes to one core, and everything else to the other cores (Linux)."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from loadtest.bench.system.process import BenchSkipped


@contextmanager
def reserved_core() -> Iterator[int]:
    """Yield a core that this process, and processes that it starts, do not use in this block. Raises BenchSkipped.

    `on_core` starts a process on it.
    """
    if not hasattr(os, "sched_setaffinity"):
        raise BenchSkipped("holding a process to one core requires Linux")
    cores = os.sched_getaffinity(0)
    core = max(cores)
    if cores == {core}:
        raise BenchSkipped("holding a process to one core requires a second core for the rest")
    # Of this thread, which starts the processes; they inherit it.
    os.sched_setaffinity(0, cores - {core})
    try:
        yield core
    finally:
        os.sched_setaffinity(0, cores)


def on_core(core: int | None, command: Sequence[str]) -> tuple[str, ...]:
    """Return the command that runs `command` and its children on one core; None leaves all cores to it."""
    return tuple(command) if core is None else ("taskset", "--cpu-list", str(core), *command)
