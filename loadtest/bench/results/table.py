"""The figures as tables for people. Pure, less the file."""

from collections.abc import Sequence
from pathlib import Path

from loadtest.bench.benchmark import Figure
from loadtest.bench.goal import Verdict
from loadtest.bench.results.outcome import Outcome
from loadtest.bench.results.spread import spread

PAGE = Path("docs/performance.md")
BEGIN = "<!-- begin of the generated table -->"
END = "<!-- end of the generated table -->"

_FEW = 10
_HEAD = "| figure | AWS | median | range | must be | aim | verdict |\n|---|---|---|---|---|---|---|"


def number(value: float) -> str:
    """Three significant digits for small figures, whole ones with separators for large."""
    if abs(value) < _FEW:
        return f"{value:.2f}"
    return f"{value:.1f}" if abs(value) < _FEW**2 else f"{value:,.0f}"


def median(figure: Figure) -> str:
    return f"{number(spread(figure.values).median)} {figure.unit}".rstrip()


def verdict(figure: Figure) -> Verdict | None:
    """Of its median; None where there is no goal."""
    return figure.goal.verdict(spread(figure.values).median) if figure.goal else None


def row(outcome: Outcome, figure: Figure) -> str:
    found = spread(figure.values)
    extent = f"{number(found.lowest)} to {number(found.highest)}" if len(figure.values) > 1 else ""
    cells = (_name(figure), outcome.backend, median(figure), extent, *_judged(figure))
    return f"| {' | '.join(cells)} |"


def _name(figure: Figure) -> str:
    name = f"**{figure.name}**" if figure.goal else figure.name
    return f"{name} ({figure.note})" if figure.note else name


def _judged(figure: Figure) -> tuple[str, str, str]:
    """What it must be, the aim, and what came of them."""
    if figure.goal is None:
        return "", "", ""
    found = verdict(figure)
    aim = "" if figure.goal.aim is None else f"{figure.goal.aim:,g}"
    return str(figure.goal), aim, f"**{found}**" if found is Verdict.MISSED else f"{found}"


def render(outcomes: Sequence[Outcome]) -> str:
    """What is missed, then one table a benchmark, its backends together; under each the machine and the day."""
    parts = [_summary(outcomes)] if outcomes else []
    for title in dict.fromkeys(outcome.title for outcome in outcomes):
        same = [outcome for outcome in outcomes if outcome.title == title]
        rows = [row(outcome, figure) for outcome in same for figure in outcome.figures]
        parts.append("\n".join([f"### {title}", "", _HEAD, *rows, "", *map(_provenance, same)]))
    return "\n\n".join(parts)


def _summary(outcomes: Sequence[Outcome]) -> str:
    judged = [
        (outcome, figure) for outcome in outcomes for figure in outcome.figures if figure.goal
    ]
    missed = [pair for pair in judged if verdict(pair[1]) is Verdict.MISSED]
    aims = [figure for _, figure in judged if figure.goal and figure.goal.aim is not None]
    aimed = sum(verdict(figure) is Verdict.AIM_REACHED for figure in aims)
    said = f"{len(judged) - len(missed)} of {len(judged)} figures reach their goal"
    said += f", {aimed} of {len(aims)} their aim." if aims else "."
    if not missed:
        return said
    lines = [
        f"- {outcome.title}, {outcome.backend}: {figure.name}, {median(figure)}, must be {figure.goal}"
        for outcome, figure in missed
    ]
    return "\n".join([f"{said} Missed:", "", *lines])


def _provenance(outcome: Outcome) -> str:
    rounds = len(outcome.figures[0].values)
    return (
        f"{outcome.backend}: {outcome.date[:10]}, commit {outcome.commit}, {rounds} rounds, "
        f"{outcome.machine}, {outcome.python}, load {outcome.load_at_start:g} to {outcome.load_at_end:g}.  "
    )


def replaced(page: str, table: str) -> str:
    """The page with its generated part renewed. Raises ValueError where the markers are missing."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"{PAGE} has no generated part")
    return f"{before}{BEGIN}\n\n{table}\n\n{END}{after}"
