"""The figures as a table for people. Pure, less the file."""

from collections.abc import Sequence
from pathlib import Path

from loadtest.bench.benchmark import Figure
from loadtest.bench.outcome import Outcome
from loadtest.bench.spread import spread

PAGE = Path("docs/performance.md")
BEGIN = "<!-- begin of the generated table -->"
END = "<!-- end of the generated table -->"

_FEW = 10
_MANY = 1_000


def number(value: float) -> str:
    """Three significant digits for small figures, whole ones with separators for large."""
    if abs(value) < _FEW:
        return f"{value:.2f}"
    return f"{value:.1f}" if abs(value) < _FEW**2 else f"{value:,.0f}"


def row(outcome: Outcome, figure: Figure) -> str:
    found = spread(figure.values)
    extent = f"{number(found.lowest)} to {number(found.highest)}" if len(figure.values) > 1 else ""
    name = f"**{figure.name}**" if figure.goal else figure.name
    cells = (
        name,
        outcome.backend,
        f"{number(found.median)} {figure.unit}".rstrip(),
        extent,
        figure.goal,
    )
    return f"| {' | '.join(cells)} |"


def render(outcomes: Sequence[Outcome]) -> str:
    """One table a benchmark, its backends together; under each the machine and the day."""
    parts = []
    for title in dict.fromkeys(outcome.title for outcome in outcomes):
        same = [outcome for outcome in outcomes if outcome.title == title]
        rows = [row(outcome, figure) for outcome in same for figure in outcome.figures]
        head = "| figure | AWS | median | range | must be |\n|---|---|---|---|---|"
        parts.append("\n".join([f"### {title}", "", head, *rows, "", *map(_provenance, same)]))
    return "\n\n".join(parts)


def _provenance(outcome: Outcome) -> str:
    rounds = len(outcome.figures[0].values)
    quick = ", quick" if outcome.quick else ""
    return (
        f"{outcome.backend}: {outcome.date[:10]}, {rounds} rounds{quick}, {outcome.machine}, "
        f"load {outcome.load:g} at the start.  "
    )


def replaced(page: str, table: str) -> str:
    """The page with its generated part renewed. Raises ValueError where the markers are missing."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"{PAGE} has no generated part")
    return f"{before}{BEGIN}\n\n{table}\n\n{END}{after}"
