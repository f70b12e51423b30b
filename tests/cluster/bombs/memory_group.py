"""A control group that limits the memory of the processes in it, as a pod's does (cgroups of version 1 or 2)."""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_MOUNT_POINT, _SEPARATOR = 4, "-"
"""Members of a line of /proc/self/mountinfo (proc(5))."""
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


class NoMemoryGroup(Exception):
    """Memory cannot be limited on this machine. `str()` has the reason."""


@dataclass(frozen=True, slots=True)
class MemoryGroup:
    folder: Path
    version: int

    def add(self, pid: int) -> None:
        """Move a process into the group. The processes that it starts later are in it as well."""
        (self.folder / "cgroup.procs").write_text(str(pid))

    def pids(self) -> list[int]:
        return [int(line) for line in (self.folder / "cgroup.procs").read_text().split()]

    def peak_bytes(self) -> int:
        """Return the most memory that the group has used, with the page cache."""
        name = "memory.peak" if self.version == 2 else "memory.max_usage_in_bytes"
        return int((self.folder / name).read_text())

    def kills(self) -> int:
        """Return how many processes the kernel has killed because the group was at its limit."""
        name = "memory.events" if self.version == 2 else "memory.oom_control"
        lines = (line.split() for line in (self.folder / name).read_text().splitlines())
        return sum(int(value) for key, value in lines if key == "oom_kill")

    def cpu_seconds(self) -> float:
        """Return the CPU time of the processes, with those of their ended children that were waited for."""
        return sum(_cpu_ticks(pid) for pid in self.pids()) / _TICKS_PER_S


def _cpu_ticks(pid: int) -> int:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    # utime, stime, cutime and cstime (proc_pid_stat(5)), behind the name, which may contain spaces.
    return sum(map(int, stat.rpartition(")")[2].split()[11:15]))


@contextmanager
def memory_group(limit_bytes: int) -> Iterator[MemoryGroup]:
    """Create a group without processes; remove it at the end, when its processes have ended. Raises NoMemoryGroup."""
    parent, version = _hierarchy()
    folder = parent / f"imageservice-{uuid.uuid4().hex[:8]}"
    try:
        if version == 2:
            (parent / "cgroup.subtree_control").write_text("+memory")
        folder.mkdir()
    except OSError as error:
        raise NoMemoryGroup(f"{parent}: {error}; run it as root on the host") from error
    try:
        group = MemoryGroup(folder, version)
        if version == 2:
            (folder / "memory.max").write_text(str(limit_bytes))
            (folder / "memory.swap.max").write_text("0")
        else:
            (folder / "memory.limit_in_bytes").write_text(str(limit_bytes))
            (folder / "memory.swappiness").write_text("0")
        yield group
    finally:
        folder.rmdir()


def _hierarchy() -> tuple[Path, int]:
    """Return the root of the hierarchy with the memory controller, and the version of it."""
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        before, _, after = line.partition(f" {_SEPARATOR} ")
        place = Path(before.split()[_MOUNT_POINT])
        kind, _, options = after.split()[:3]
        if kind == "cgroup" and "memory" in options.split(","):
            return place, 1
        if kind == "cgroup2" and "memory" in (place / "cgroup.controllers").read_text().split():
            return place, 2
    raise NoMemoryGroup("no control group of this machine limits memory")
