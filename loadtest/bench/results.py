"""The result of a benchmark: its JSON file, and its table in docs/performance.md."""

import json
import os
import platform
import sysconfig
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil

from loadtest.bench.benchmark import Benchmark, Figure, Trial, spread
from loadtest.bench.thresholds import Threshold, Verdict
from loadtest.run_report.heading import processor

FOLDER = Path("loadtest/reports/bench")
SCHEMA = 3

PAGE = Path("docs/performance.md")
BEGIN = "<!-- begin of the generated table -->"
END = "<!-- end of the generated table -->"

_VERSIONS = ("grpcio", "aiobotocore", "aiohttp", "uvloop", "pillow")
_OPTIMISED = "--enable-optimizations"
COMPARISONS = ("go-", "images-")
"""Beginnings of the names of benchmarks that compare the consumer with other programs."""
_FEW = 10
_HEAD = (
    "| figure | AWS | median | range | limit | target | verdict |\n|---|---|---|---|---|---|---|"
)


@dataclass(frozen=True, slots=True)
class PythonBuild:
    """How the interpreter was built. The build changes CPU figures by a quarter and more.

    `built` is the build date that the interpreter reports. `options` names the optimisation option if the build used
    it. Its absence proves nothing: Debian also applies profile-guided optimisation, but does not report it.
    """

    version: str
    compiler: str
    built: str
    options: str

    def __str__(self) -> str:
        details = ", ".join(filter(None, (self.compiler, self.options, f"of {self.built}")))
        return f"Python {self.version} ({details})"


def python_build() -> PythonBuild:
    """Describe the running interpreter, which also runs every Python process of a benchmark."""
    arguments = str(sysconfig.get_config_var("CONFIG_ARGS"))
    return PythonBuild(
        version=platform.python_version(),
        compiler=platform.python_compiler(),
        built=platform.python_build()[1],
        options=_OPTIMISED if _OPTIMISED in arguments else "",
    )


@dataclass(frozen=True, slots=True)
class Result:
    """`date` is ISO 8601 in UTC. The loads are the machine's one-minute load average at start and end of the run."""

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


def new_result(
    benchmark: Benchmark,
    trial: Trial,
    figures: Sequence[Figure],
    *,
    commit: str,
    load: tuple[float, float],
) -> Result:
    """Describe a run that has just ended. `load` holds the load averages of its start and its end."""
    return Result(
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
    """Return processor, number of cores, memory and operating system."""
    memory = psutil.virtual_memory().total / 2**30
    return f"{os.cpu_count()} cores of {processor()}, {memory:.0f} GiB, {platform.system()} {platform.machine()}"


def write(result: Result) -> Path:
    result.path.parent.mkdir(parents=True, exist_ok=True)
    result.path.write_text(json.dumps(asdict(result), indent=2) + "\n", encoding="utf-8")
    return result.path


def read(path: Path) -> Result:
    """Raises KeyError or TypeError for a result of another schema."""
    values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    values["python"] = PythonBuild(**values["python"])
    values["figures"] = tuple(_figure(figure) for figure in values["figures"])
    return Result(**values)


def read_all(folder: Path = FOLDER) -> list[Result]:
    return [read(path) for path in sorted(folder.glob("*.json"))]


def _figure(values: dict[str, Any]) -> Figure:
    threshold = Threshold(**values["threshold"]) if values["threshold"] else None
    return Figure(**{**values, "values": tuple(values["values"]), "threshold": threshold})


def number(value: float) -> str:
    """Format with three significant digits, or as a whole number from 100 on."""
    if abs(value) < _FEW:
        return f"{value:.2f}"
    return f"{value:.1f}" if abs(value) < _FEW**2 else f"{value:,.0f}"


def median(figure: Figure) -> str:
    return f"{number(spread(figure.values).median)} {figure.unit}".rstrip()


def verdict(figure: Figure) -> Verdict | None:
    """Judge the median; None without a threshold."""
    return figure.threshold.verdict(spread(figure.values).median) if figure.threshold else None


def row(result: Result, figure: Figure) -> str:
    found = spread(figure.values)
    extent = f"{number(found.lowest)} to {number(found.highest)}" if len(figure.values) > 1 else ""
    cells = (_name(figure), result.backend, median(figure), extent, *_judged(figure))
    return f"| {' | '.join(cells)} |"


def _name(figure: Figure) -> str:
    name = f"**{figure.name}**" if figure.threshold else figure.name
    return f"{name} ({figure.note})" if figure.note else name


def _judged(figure: Figure) -> tuple[str, str, str]:
    """Return the cells for limit, target and verdict."""
    if figure.threshold is None:
        return "", "", ""
    found, target = verdict(figure), figure.threshold.target
    cell = f"**{found}**" if found is Verdict.MISSED else f"{found}"
    return str(figure.threshold), "" if target is None else f"{target:,g}", cell


def render(results: Sequence[Result]) -> str:
    """Render the missed limits, then one table per benchmark with its backends, machine and date."""
    parts = [_summary(results)] if results else []
    if comparison := _comparison(results):
        parts.append(comparison)
    for title in dict.fromkeys(result.title for result in results):
        same = [result for result in results if result.title == title]
        rows = [row(result, figure) for result in same for figure in result.figures]
        parts.append("\n".join([f"### {title}", "", _HEAD, *rows, "", *map(_provenance, same)]))
    return "\n\n".join(parts)


def _summary(results: Sequence[Result]) -> str:
    judged = [
        (result, figure) for result in results for figure in result.figures if figure.threshold
    ]
    missed = [pair for pair in judged if verdict(pair[1]) is Verdict.MISSED]
    targets = [each for _, each in judged if each.threshold and each.threshold.target is not None]
    met = sum(verdict(figure) is Verdict.TARGET_MET for figure in targets)
    text = f"{len(judged) - len(missed)} of {len(judged)} figures meet their limit"
    text += f", {met} of {len(targets)} their target." if targets else "."
    if not missed:
        return text
    lines = [
        f"- {result.title}, {result.backend}: {figure.name}, {median(figure)}, limit: {figure.threshold}"
        for result, figure in missed
    ]
    return "\n".join([f"{text} Missed:", "", *lines])


def _comparison(results: Sequence[Result]) -> str:
    """Render the limited figures of the consumer against other programs in one table, or nothing without results."""
    rows = [
        f"| {result.title.rpartition(' of ')[2]} {row(result, figure)}"
        for result in results
        if result.benchmark.startswith(COMPARISONS)
        for figure in result.figures
        if figure.threshold
    ]
    if not rows:
        return ""
    names, rule = _HEAD.splitlines()
    head = f"| images {names}\n|---{rule}"
    return "\n".join(["### Consumer against other programs", "", head, *rows])


def _provenance(result: Result) -> str:
    rounds = len(result.figures[0].values)
    return (
        f"{result.backend}: {result.date[:10]}, commit {result.commit}, {rounds} rounds, "
        f"{result.machine}, {result.python}, load {result.load_at_start:g} to {result.load_at_end:g}.  "
    )


def replace_table(page: str, table: str) -> str:
    """Return the page with its generated part replaced. Raises ValueError if the markers are missing."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"{PAGE} has no generated part")
    return f"{before}{BEGIN}\n\n{table}\n\n{END}{after}"
