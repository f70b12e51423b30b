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
from loadtest.run_report.heading import processor

FOLDER = Path("loadtest/reports/bench")

_VERSIONS = ("grpcio", "aiobotocore", "aiohttp", "uvloop", "pillow")


@dataclass(frozen=True, slots=True)
class Outcome:
    """`date` is ISO 8601 in UTC, `machine` is for people."""

    benchmark: str
    title: str
    backend: str
    quick: bool
    date: str
    machine: str
    versions: dict[str, str]
    load: float
    """The machine's load average over a minute when the run began: what else ran beside it."""
    figures: tuple[Figure, ...]

    @property
    def path(self) -> Path:
        return FOLDER / f"{self.benchmark}-{self.backend}.json"


def outcome(
    benchmark: Benchmark, trial: Trial, figures: Sequence[Figure], *, load: float
) -> Outcome:
    return Outcome(
        benchmark=benchmark.name,
        title=benchmark.title,
        backend=trial.backend,
        quick=trial.quick,
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        machine=machine(),
        versions={
            "python": platform.python_version(),
            **{name: version(name) for name in _VERSIONS},
        },
        load=round(load, 2),
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
    values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    figures = tuple(
        Figure(**{**figure, "values": tuple(figure["values"])}) for figure in values.pop("figures")
    )
    return Outcome(**values, figures=figures)


def read_all(folder: Path = FOLDER) -> list[Outcome]:
    return [read(path) for path in sorted(folder.glob("*.json"))]
