"""The record of one run: plain values that are stored as JSON."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

Line = tuple[float | None, ...]
"""One value per point of the timeline; None if nothing was measured."""

Cell = str | int | float

Faults = Mapping[str, Sequence[str]]
"""The faults that a verification found, by kind: sentences that begin with an id."""

MAX_SHOWN_FAULTS = 20
"""Faults of each kind in a report. The file faults.txt lists all."""


@dataclass(frozen=True, slots=True)
class Heading:
    """The run, its machine and its time."""

    title: str
    commit: str
    """The commit of the working tree, with "-dirty" if it had changes."""
    machine: str
    started: str
    """UTC, ISO 8601."""
    settings: Mapping[str, Cell] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LatencyLines:
    """Milliseconds. In an open loop they count from the intended time, see `schedule`."""

    p50: Line
    p90: Line
    p99: Line
    max: Line


@dataclass(frozen=True, slots=True)
class Timeline:
    """Samples of each second, or fewer after thinning. All lines are as long as `seconds`."""

    seconds: tuple[float, ...] = ()
    """Seconds since the start."""
    rates: Mapping[str, Line] = field(default_factory=dict)
    """Items per second: submitted, acknowledged, terminal."""
    latencies: Mapping[str, LatencyLines] = field(default_factory=dict)
    """By stage."""
    depth: Mapping[str, Line] = field(default_factory=dict)
    """Messages in the queue: visible, in flight. Empty without access to the queue."""
    memory: Mapping[str, Line] = field(default_factory=dict)
    """Resident memory in MiB by process."""
    cpu: Mapping[str, Line] = field(default_factory=dict)
    """Used cores by process."""
    errors: Mapping[str, Line] = field(default_factory=dict)
    """Errors per second by reason."""


@dataclass(frozen=True, slots=True)
class LatencySummary:
    """Milliseconds over the whole run."""

    count: int
    mean: float
    p50: float
    p90: float
    p99: float
    p999: float
    max: float


@dataclass(frozen=True, slots=True)
class Table:
    """A table of figures, such as "CPU by tenth of the run"."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    passed: bool
    sentences: tuple[str, ...] = ()
    """A verified fact, or a fault."""


@dataclass(frozen=True, slots=True)
class RunRecord:
    heading: Heading
    seconds: float
    """Duration."""
    totals: Mapping[str, Cell]
    latencies: Mapping[str, LatencySummary]
    """By stage."""
    errors: Mapping[str, int]
    """By reason over the whole run."""
    timeline: Timeline
    tables: tuple[Table, ...]
    verdict: Verdict

    def to_json(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self), separators=(",", ":")) + "\n", encoding="utf-8")

    @classmethod
    def from_json(cls, path: Path) -> Self:
        """Raises OSError, or KeyError, TypeError or ValueError for a file that `to_json` did not write."""
        stored = json.loads(path.read_text(encoding="utf-8"))
        return cls(
            heading=Heading(**stored["heading"]),
            seconds=stored["seconds"],
            totals=stored["totals"],
            latencies={k: LatencySummary(**v) for k, v in stored["latencies"].items()},
            errors=stored["errors"],
            timeline=_timeline(stored["timeline"]),
            tables=tuple(_table(table) for table in stored["tables"]),
            verdict=Verdict(stored["verdict"]["passed"], tuple(stored["verdict"]["sentences"])),
        )


def _timeline(stored: Mapping[str, Any]) -> Timeline:
    latencies = {
        stage: LatencyLines(**{name: tuple(line) for name, line in lines.items()})
        for stage, lines in stored["latencies"].items()
    }
    plain = {
        group: {name: tuple(line) for name, line in stored[group].items()}
        for group in ("rates", "depth", "memory", "cpu", "errors")
    }
    return Timeline(seconds=tuple(stored["seconds"]), latencies=latencies, **plain)


def _table(stored: Mapping[str, Any]) -> Table:
    rows = tuple(tuple(row) for row in stored["rows"])
    return Table(stored["title"], tuple(stored["columns"]), rows, stored["note"])


def fault_sentences(faults: Faults) -> Iterator[str]:
    """Yield one sentence per kind, for the verdict."""
    for kind, found in faults.items():
        hidden = len(found) - MAX_SHOWN_FAULTS
        more = f" … and {hidden:,} more" if hidden > 0 else ""
        yield f"{len(found):,} {kind}: {'; '.join(found[:MAX_SHOWN_FAULTS])}{more}."


def fault_lines(faults: Faults) -> Iterator[str]:
    """Yield all faults, for the file."""
    return (f"{kind}: {one}\n" for kind, found in faults.items() for one in found)
