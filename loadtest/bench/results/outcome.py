"""The result of one benchmark, as a file."""

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil

from loadtest.bench.benchmark import Benchmark, Figure, Trial
from loadtest.bench.goal import Goal
from loadtest.bench.results.python_build import PythonBuild, python_build
from loadtest.run_report.heading import processor

FOLDER = Path("loadtest/reports/bench")
SCHEMA = 2

_VERSIONS = ("grpcio", "aiobotocore", "aiohttp", "uvloop", "pillow")


@dataclass(frozen=True, slots=True)
class Outcome:
    """`date` is ISO 8601 in UTC, `machine` is for people.

    The loads are the machine's load average over a minute when the run began and ended: what else ran beside it.
    """

    schema: int
    benchmark: str
    title: str
    backend: str
    quick: bool
    commit: str
    date: str
    machine: str
    python: PythonBuild
    versions: dict[str, str]
    load_at_start: float
    load_at_end: float
    figures: tuple[Figure, ...]

    @property
    def path(self) -> Path:
        return FOLDER / f"{self.benchmark}-{self.backend}.json"


def outcome(
    benchmark: Benchmark,
    trial: Trial,
    figures: Sequence[Figure],
    *,
    commit: str,
    load: tuple[float, float],
) -> Outcome:
    """Of a run that has just ended; `load` is from its start and its end."""
    return Outcome(
        schema=SCHEMA,
        benchmark=benchmark.name,
        title=benchmark.title,
        backend=trial.backend,
        quick=trial.quick,
        commit=commit,
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        machine=machine(),
        python=python_build(),
        versions={name: version(name) for name in _VERSIONS},
        load_at_start=round(load[0], 2),
        load_at_end=round(load[1], 2),
        figures=tuple(figures),
    )


def machine() -> str:
    """Processor, number of cores, memory, system."""
    memory = psutil.virtual_memory().total / 2**30
    return f"{os.cpu_count()} cores of {processor()}, {memory:.0f} GiB, {platform.system()} {platform.machine()}"


def write(measured: Outcome) -> Path:
    measured.path.parent.mkdir(parents=True, exist_ok=True)
    measured.path.write_text(json.dumps(asdict(measured), indent=2) + "\n", encoding="utf-8")
    return measured.path


def read(path: Path) -> Outcome:
    """Raises KeyError or TypeError for a result of another schema."""
    values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    values["python"] = PythonBuild(**values["python"])
    values["figures"] = tuple(_figure(figure) for figure in values["figures"])
    return Outcome(**values)


def read_all(folder: Path = FOLDER) -> list[Outcome]:
    return [read(path) for path in sorted(folder.glob("*.json"))]


def _figure(values: dict[str, Any]) -> Figure:
    goal = values["goal"]
    return Figure(
        **{**values, "values": tuple(values["values"]), "goal": Goal(**goal) if goal else None}
    )
