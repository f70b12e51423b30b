"""What becomes of a benchmark's figures: the goal they are held against, the file that keeps them, the table."""

import re
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from loadtest.bench.benchmark import Figure
from loadtest.bench.goal import Goal, Verdict
from loadtest.bench.results import outcome as outcomes
from loadtest.bench.results import table
from loadtest.bench.results.outcome import Outcome
from loadtest.bench.results.python_build import PythonBuild
from loadtest.run_report.commit import commit

ROOT = Path(__file__).parents[4]
OUTCOME = Outcome(
    schema=2,
    benchmark="unary",
    title="Unary",
    backend="null",
    quick=False,
    commit="0123456789ab-dirty",
    date="2026-11-22T12:00:00+00:00",
    machine="2 cores",
    python=PythonBuild("3.11.7", "GCC 12.2.0", "Nov  1 2026", ""),
    versions={"grpcio": "1.85.1"},
    load_at_start=0.5,
    load_at_end=2.25,
    figures=(
        Figure("CPU", "x", (1.5, 1.4, 1.9), Goal(2.0, aim=1.3), note="less is better"),
        Figure("rate", "x", (2.0, 2.0, 2.0), Goal(3.5, aim=5.0, at_least=True)),
        Figure("growth", "x", (1.0,), Goal(1.1)),
        Figure("calls", "", (8.0,)),
    ),
)


@pytest.mark.parametrize(
    ("goal", "median", "verdict"),
    [
        (Goal(2.0, aim=1.3), 2.01, Verdict.MISSED),
        (Goal(2.0, aim=1.3), 2.0, Verdict.REACHED),
        (Goal(2.0, aim=1.3), 1.3, Verdict.AIM_REACHED),
        (Goal(3.5, aim=5.0, at_least=True), 3.49, Verdict.MISSED),
        (Goal(3.5, aim=5.0, at_least=True), 3.5, Verdict.REACHED),
        (Goal(3.5, aim=5.0, at_least=True), 5.1, Verdict.AIM_REACHED),
        (Goal(1.1), 0.5, Verdict.REACHED),
        (Goal(1.1), 1.104, Verdict.MISSED),
    ],
)
def test_a_goal_is_missed_reached_or_reached_with_its_aim(
    goal: Goal, median: float, verdict: Verdict
) -> None:
    """The last would read 1.10 in the table, and is missed all the same."""
    assert goal.verdict(median) is verdict


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.123, "0.12"), (9.876, "9.88"), (12.34, "12.3"), (123.4, "123"), (1_234_567.0, "1,234,567")],
)
def test_numbers_are_as_long_as_they_are_true(value: float, text: str) -> None:
    assert table.number(value) == text


def test_a_row_tells_median_range_goal_aim_and_verdict() -> None:
    assert [table.row(OUTCOME, figure) for figure in OUTCOME.figures] == [
        "| **CPU** (less is better) | null | 1.50 x | 1.40 to 1.90 | at most 2 | 1.3 | reached |",
        "| **rate** | null | 2.00 x | 2.00 to 2.00 | at least 3.5 | 5 | **missed** |",
        "| **growth** | null | 1.00 x |  | at most 1.1 |  | reached |",
        "| calls | null | 8.00 |  |  |  |  |",
    ]


def test_backends_of_a_benchmark_share_a_table_and_are_judged_each_by_itself() -> None:
    fast = replace(OUTCOME.figures[1], values=(3.5, 3.6))
    other = replace(OUTCOME, backend="embedded", figures=(fast,))
    rendered = table.render([OUTCOME, other])
    assert rendered.count("### Unary") == 1
    assert "| **rate** | null | 2.00 x | 2.00 to 2.00 | at least 3.5 | 5 | **missed** |" in rendered
    assert (
        "| **rate** | embedded | 3.55 x | 3.50 to 3.60 | at least 3.5 | 5 | reached |" in rendered
    )


def test_the_table_begins_with_what_is_missed() -> None:
    first, _, line = table.render([OUTCOME]).split("\n")[:3]
    assert first == "2 of 3 figures reach their goal, 0 of 2 their aim. Missed:"
    assert line == "- Unary, null: rate, 2.00 x, must be at least 3.5"


def test_a_table_tells_commit_date_build_and_load() -> None:
    assert (
        "null: 2026-11-22, commit 0123456789ab-dirty, 3 rounds, 2 cores, "
        "Python 3.11.7 (GCC 12.2.0, of Nov  1 2026), load 0.5 to 2.25."
    ) in table.render([OUTCOME])


def test_only_the_generated_part_of_a_page_is_replaced() -> None:
    page = f"before {table.BEGIN} old {table.END} after"
    assert table.replaced(page, "new") == (f"before {table.BEGIN}\n\nnew\n\n{table.END} after")
    with pytest.raises(ValueError, match="no generated part"):
        table.replaced("nothing", "new")


def test_a_result_survives_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outcomes, "FOLDER", tmp_path / "reports")
    path = outcomes.write(OUTCOME)
    assert path.name == "unary-null.json"
    assert outcomes.read_all(path.parent) == [OUTCOME]


def test_a_commit_is_dirty_by_what_is_changed_and_not_by_the_results_themselves(
    tmp_path: Path,
) -> None:
    def git(*arguments: str) -> None:
        who = ("-c", "user.name=bench", "-c", "user.email=bench@localhost")
        subprocess.run(("git", *who, *arguments), cwd=tmp_path, check=True, capture_output=True)  # noqa: S607

    assert commit(tmp_path) == "unknown"
    git("init", "--quiet")
    for name in ("code.py", "loadtest/reports/bench/unary-null.json", "docs/performance.md"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("before")
    git("add", ".")
    git("commit", "--quiet", "--message", "first")
    clean = commit(tmp_path)
    assert re.fullmatch(r"[0-9a-f]{12}", clean)
    (tmp_path / "loadtest/reports/bench/unary-null.json").write_text("after")
    (tmp_path / "docs/performance.md").write_text("after")
    assert commit(tmp_path) == clean
    (tmp_path / "code.py").write_text("after")
    assert commit(tmp_path) == f"{clean}-dirty"


def test_the_page_shows_the_results_that_are_committed() -> None:
    """`python -m loadtest.bench table` was run after the last benchmark."""
    page = (ROOT / table.PAGE).read_text(encoding="utf-8")
    for result in outcomes.read_all(ROOT / outcomes.FOLDER):
        for figure in result.figures:
            assert re.search(re.escape(table.row(result, figure)), page), result.path.name
