"""Collects counts, latencies and samples of a run. Independent of an event loop: call `sample` once per second."""

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from loadtest.run_report.latencies import StageLatencies
from loadtest.run_report.processes import CpuRates, ProcessSample
from loadtest.run_report.record import (
    Cell,
    Heading,
    LatencySummary,
    Line,
    RunRecord,
    Table,
    Timeline,
    Verdict,
)


@dataclass(frozen=True, slots=True)
class Depth:
    """Approximate message counts of a queue, as SQS reports them."""

    visible: int
    in_flight: int


class _Columns:
    """Named lines. `absent` fills the seconds before the first value of a line."""

    def __init__(self, absent: float | None = None) -> None:
        self._absent = absent
        self._rows: list[Mapping[str, float]] = []
        self._names: dict[str, None] = {}

    def append(self, row: Mapping[str, float]) -> None:
        self._rows.append({name: round(value, 4) for name, value in row.items()})
        self._names.update(dict.fromkeys(row))

    def lines(self) -> dict[str, Line]:
        return {
            name: tuple(row.get(name, self._absent) for row in self._rows) for name in self._names
        }


class Recorder:
    """`stages` names the measured latencies, in the order of the report."""

    def __init__(self, stages: Iterable[str], clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.started = clock()
        self._sampled = self.started
        self._stages = {stage: StageLatencies() for stage in stages}
        self._counts: Counter[str] = Counter()
        self._errors: Counter[str] = Counter()
        self._new_counts: Counter[str] = Counter()
        self._new_errors: Counter[str] = Counter()
        self._cpu_rates = CpuRates(clock)
        self._seconds: list[float] = []
        self._columns: defaultdict[str, _Columns] = defaultdict(_Columns)
        self._columns["rates"] = _Columns(absent=0.0)
        self._columns["errors"] = _Columns(absent=0.0)

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return self._clock() - self.started

    @property
    def counts(self) -> Mapping[str, int]:
        """Totals so far, including the current second."""
        return self._counts + self._new_counts

    @property
    def errors(self) -> Mapping[str, int]:
        """Totals so far by reason, including the current second."""
        return self._errors + self._new_errors

    def count(self, name: str, number: int = 1) -> None:
        """Add `number` to the count `name`, such as submitted or acknowledged."""
        self._new_counts[name] += number

    def latency(self, stage: str, seconds: float) -> None:
        """Add a latency. In an open loop it counts from the intended time: `Schedule.latency`."""
        self._stages[stage].add(seconds)

    def error(self, reason: str, number: int = 1) -> None:
        """Count errors. `reason` must have few distinct values, because each becomes a line of the report."""
        self._new_errors[reason] += number

    def sample(
        self,
        *,
        depth: Depth | None = None,
        processes: Mapping[str, ProcessSample] | None = None,
    ) -> None:
        """End the current second. Rates are per second even if the interval was not exactly one second."""
        now = self._clock()
        passed = max(now - self._sampled, 1e-9)
        self._sampled = now
        self._seconds.append(round(now - self.started, 3))
        samples = processes or {}
        self._columns["rates"].append(_per_second(self._new_counts, passed))
        self._columns["errors"].append(_per_second(self._new_errors, passed))
        self._columns["memory"].append({name: one.memory_mib for name, one in samples.items()})
        self._columns["cpu"].append(self._cpu_rates.since_last(samples))
        known = {} if depth is None else {"visible": depth.visible, "in flight": depth.in_flight}
        self._columns["depth"].append(known)
        for stage in self._stages.values():
            stage.close_second()
        self._counts += self._new_counts
        self._errors += self._new_errors
        self._new_counts.clear()
        self._new_errors.clear()

    def timeline(self) -> Timeline:
        return Timeline(
            seconds=tuple(self._seconds),
            latencies={name: stage.lines() for name, stage in self._stages.items()},
            **{
                group: self._columns[group].lines()
                for group in ("rates", "depth", "memory", "cpu", "errors")
            },
        )

    def latencies(self) -> dict[str, LatencySummary]:
        """Summarise the whole run. A stage without a value is omitted."""
        summaries = {name: stage.summary() for name, stage in self._stages.items()}
        return {name: summary for name, summary in summaries.items() if summary is not None}

    def finish(
        self,
        heading: Heading,
        *,
        verdict: Verdict,
        totals: Mapping[str, Cell] | None = None,
        tables: Iterable[Table] = (),
        seconds: float | None = None,
    ) -> RunRecord:
        """Return the record of the run. `seconds` is its duration; by default the time until the last sample."""
        if self._new_counts or self._new_errors:
            self.sample()
        return RunRecord(
            heading=heading,
            seconds=round(self._sampled - self.started if seconds is None else seconds, 3),
            totals={**self._counts, **(totals or {})},
            latencies=self.latencies(),
            errors=dict(self._errors),
            timeline=self.timeline(),
            tables=tuple(tables),
            verdict=verdict,
        )


def _per_second(counts: Mapping[str, int], passed: float) -> dict[str, float]:
    return {name: number / passed for name, number in counts.items()}
