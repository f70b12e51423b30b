"""Benchmarks one after the other: what one of them fails of is said, and the others run."""

import asyncio
import os
import sys
import traceback
from collections.abc import Sequence
from dataclasses import dataclass

from loadtest.bench.benchmark import Benchmark, Figure, Trial
from loadtest.bench.results import outcome, table
from loadtest.bench.results.spread import spread
from loadtest.bench.system.process import BenchFailed
from loadtest.run_report.commit import commit


@dataclass(frozen=True, slots=True)
class Planned:
    benchmark: Benchmark
    trial: Trial

    @property
    def name(self) -> str:
        return f"{self.benchmark.title} ({self.trial.backend})"


async def run(planned: Sequence[Planned]) -> list[str]:
    """Run all, write the results of those that are not quick; the names of those that failed."""
    # Asked before anything is measured: it is the code that these processes start from.
    checked_out = await asyncio.to_thread(commit)
    failed = []
    for each in planned:
        _say(f"\n{each.name}")
        try:
            await _measure(each, checked_out)
        except BenchFailed as failure:
            _say(f"  failed: {failure}")
            failed.append(each.name)
        except Exception:  # noqa: BLE001  whatever it is, the others do not hang on it
            _say(f"  failed: {traceback.format_exc()}")
            failed.append(each.name)
    return failed


async def _measure(planned: Planned, checked_out: str) -> None:
    benchmark, trial = planned.benchmark, planned.trial
    load = os.getloadavg()[0]
    figures = await benchmark.run(trial)
    loads = load, os.getloadavg()[0]
    for figure in figures:
        _say(_line(figure))
    if not trial.quick:
        outcome.write(outcome.outcome(benchmark, trial, figures, commit=checked_out, load=loads))


def _line(figure: Figure) -> str:
    found = spread(figure.values)
    extent = f"{table.number(found.lowest)} to {table.number(found.highest)}"
    goal = f"{figure.goal}: {table.verdict(figure)}" if figure.goal else ""
    return f"  {figure.name:<58} {table.median(figure):>14}  {extent:<20} {goal}".rstrip()


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
