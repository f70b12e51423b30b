"""What a run cost, summed up by tenths of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from loadtest.run_report.processes import ProcessSample
from loadtest.run_report.record import Cell, Table

TENTHS = 10


@dataclass(frozen=True, slots=True)
class Mark:
    """Where everything stood at one moment."""

    items: int
    seconds: float
    processes: Mapping[str, ProcessSample]


@dataclass(slots=True)
class Tenths:
    """Cuts a run of `total` items into ten parts by what has ended, on the samples that come."""

    total: int
    ours: tuple[str, ...] = ("server", "consumer")
    """Beginnings of the names of the processes under test."""
    marks: list[Mark] = field(default_factory=list)

    def see(self, mark: Mark) -> None:
        """The first one begins the run; later ones count when another tenth is full."""
        if not self.marks or mark.items >= self._next():
            self.marks.append(mark)

    def _next(self) -> float:
        """The tenth after the one in which the last mark lies."""
        full = self.marks[-1].items * TENTHS // self.total
        return (full + 1) * self.total / TENTHS

    def table(self) -> Table:
        names = sorted({name for mark in self.marks for name in mark.processes}, key=self._order)
        ours = [name for name in names if name.startswith(self.ours)]
        columns = (
            "ended",
            "items/s",
            "ours: ms/item",
            *(f"{name}: ms/item" for name in names),
            *(f"{name}: MiB" for name in ours),
        )
        pairs = zip(self.marks, self.marks[1:], strict=False)
        return Table(
            "CPU and memory by tenth of the run",
            columns,
            tuple(_row(before, after, names, ours) for before, after in pairs),
            "CPU is user and system time of each process with its children, in milliseconds for each item that ended.",
        )

    def growth(self) -> float | None:
        """CPU an item of our processes in the last tenth as a multiple of the first; None for too short a run."""
        if len(self.marks) <= TENTHS:
            return None
        first, last = (
            _cpu_ms(before, after, self.ours) for before, after in (self.marks[:2], self.marks[-2:])
        )
        return last / first if first else None

    def memory_growth(self) -> dict[str, float]:
        """Resident memory at the end of each process of ours, as a multiple of that after the first tenth.

        Empty for too short a run. A process that was not there at both moments is left out.
        """
        if len(self.marks) <= TENTHS:
            return {}
        first, last = self.marks[1].processes, self.marks[-1].processes
        return {
            name: sample.memory_mib / first[name].memory_mib
            for name, sample in last.items()
            if name.startswith(self.ours) and name in first
        }

    def _order(self, name: str) -> tuple[bool, str]:
        return (not name.startswith(self.ours), name)


def _row(before: Mark, after: Mark, names: Sequence[str], ours: Sequence[str]) -> tuple[Cell, ...]:
    passed = max(after.seconds - before.seconds, 1e-9)
    return (
        after.items,
        round((after.items - before.items) / passed, 1),
        round(_cpu_ms(before, after, tuple(ours)), 3),
        *(round(_cpu_ms(before, after, (name,)), 3) for name in names),
        *(round(_memory(after, name), 1) for name in ours),
    )


def _memory(mark: Mark, name: str) -> float:
    return mark.processes[name].memory_mib if name in mark.processes else 0.0


def _cpu_ms(before: Mark, after: Mark, beginnings: tuple[str, ...]) -> float:
    """Of all processes whose names begin so."""
    if not beginnings:
        return 0.0
    spent = sum(
        max(0.0, sample.cpu_seconds - before.processes[name].cpu_seconds)
        for name, sample in after.processes.items()
        if name.startswith(beginnings) and name in before.processes
    )
    return spent / max(1, after.items - before.items) * 1e3
