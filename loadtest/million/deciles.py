"""The cost of a run by tenths of its items, and whether it is stable over the run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from loadtest.run_report.processes import ProcessSample
from loadtest.run_report.record import Cell, Table

DECILES = 10
MIN_JUDGED_ITEMS = 100_000
"""In a shorter run a tenth is too short for meaningful figures."""
MAX_CPU_GROWTH = 1.1
MAX_MEMORY_GROWTH = 1.2


@dataclass(frozen=True, slots=True)
class Mark:
    """All counters at one moment."""

    items: int
    seconds: float
    processes: Mapping[str, ProcessSample]


@dataclass(slots=True)
class Deciles:
    """Divides a run of `total` items into ten parts by the number of ended items, at the moments of samples."""

    total: int
    ours: tuple[str, ...] = ("server", "consumer")
    """Name prefixes of the processes under test."""
    marks: list[Mark] = field(default_factory=list)

    def add(self, mark: Mark) -> None:
        """Keep the first mark, and each later one that completes another tenth."""
        if not self.marks or mark.items >= self._next():
            self.marks.append(mark)

    def _next(self) -> float:
        """Return the number of items at the end of the current tenth."""
        full = self.marks[-1].items * DECILES // self.total
        return (full + 1) * self.total / DECILES

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
            "CPU is user and system time of each process with its children, in milliseconds per ended item.",
        )

    def cpu_growth(self) -> float | None:
        """Return CPU per item of our processes in the last tenth over the first; None if the run is too short."""
        if len(self.marks) <= DECILES:
            return None
        first, last = (
            _cpu_ms(before, after, self.ours) for before, after in (self.marks[:2], self.marks[-2:])
        )
        return last / first if first else None

    def memory_growth(self) -> dict[str, float]:
        """Return the resident memory of each of our processes at the end, over that after the first tenth.

        Empty if the run is too short. A process that is missing at one of the two moments is omitted.
        """
        if len(self.marks) <= DECILES:
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


def _cpu_ms(before: Mark, after: Mark, prefixes: tuple[str, ...]) -> float:
    """Return CPU per item of all processes whose names have one of the prefixes."""
    if not prefixes:
        return 0.0
    spent = sum(
        max(0.0, sample.cpu_seconds - before.processes[name].cpu_seconds)
        for name, sample in after.processes.items()
        if name.startswith(prefixes) and name in before.processes
    )
    return spent / max(1, after.items - before.items) * 1e3


@dataclass(frozen=True, slots=True)
class Stability:
    passed: bool
    sentences: tuple[str, ...]


def stability(deciles: Deciles) -> Stability:
    """Judge a long run, which must be measured and stable. A short run passes without a sentence."""
    if deciles.total < MIN_JUDGED_ITEMS:
        return Stability(passed=True, sentences=())
    cpu, memory = deciles.cpu_growth(), deciles.memory_growth()
    if cpu is None or not memory:
        unknown = (
            "CPU and memory of server and consumers were not measured in every tenth of the run."
        )
        return Stability(passed=False, sentences=(unknown,))
    stable = cpu <= MAX_CPU_GROWTH and max(memory.values()) <= MAX_MEMORY_GROWTH
    grown = ", ".join(f"{name} {times:.2f}x" for name, times in sorted(memory.items()))
    return Stability(
        passed=stable,
        sentences=(
            f"CPU per item of server and consumers, last tenth over first: {cpu:.2f}x (at most {MAX_CPU_GROWTH}x).",
            f"Memory, last tenth over first: {grown} (at most {MAX_MEMORY_GROWTH}x).",
        ),
    )
