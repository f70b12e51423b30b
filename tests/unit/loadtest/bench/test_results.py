"""Results of benchmarks: verdicts, the JSON file, and the table."""

import re
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from loadtest.bench import results
from loadtest.bench.benchmark import Figure
from loadtest.bench.results import PythonBuild, Result
from loadtest.bench.thresholds import Threshold, Verdict
from loadtest.run_report.heading import commit

ROOT = Path(__file__).parents[4]
RESULT = Result(
    schema=3,
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
        Figure("CPU", "x", (1.5, 1.4, 1.9), Threshold(2.0, target=1.3), note="less is better"),
        Figure("rate", "x", (2.0, 2.0, 2.0), Threshold(3.5, target=5.0, at_least=True)),
        Figure("growth", "x", (1.0,), Threshold(1.1)),
        Figure("calls", "", (8.0,)),
    ),
)


@pytest.mark.parametrize(
    ("threshold", "median", "verdict"),
    [
        (Threshold(2.0, target=1.3), 2.01, Verdict.MISSED),
        (Threshold(2.0, target=1.3), 2.0, Verdict.MET),
        (Threshold(2.0, target=1.3), 1.3, Verdict.TARGET_MET),
        (Threshold(3.5, target=5.0, at_least=True), 3.49, Verdict.MISSED),
        (Threshold(3.5, target=5.0, at_least=True), 3.5, Verdict.MET),
        (Threshold(3.5, target=5.0, at_least=True), 5.1, Verdict.TARGET_MET),
        (Threshold(1.1), 0.5, Verdict.MET),
        (Threshold(1.1), 1.104, Verdict.MISSED),
    ],
)
def test_the_verdict_of_a_median(threshold: Threshold, median: float, verdict: Verdict) -> None:
    """The last value is displayed as 1.10 and misses the limit."""
    assert threshold.verdict(median) is verdict


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.123, "0.12"), (9.876, "9.88"), (12.34, "12.3"), (123.4, "123"), (1_234_567.0, "1,234,567")],
)
def test_numbers_have_three_significant_digits(value: float, text: str) -> None:
    assert results.number(value) == text


def test_a_row_has_median_range_limit_target_and_verdict() -> None:
    assert [results.row(RESULT, figure) for figure in RESULT.figures] == [
        "| **CPU** (less is better) | null | 1.50 x | 1.40 to 1.90 | at most 2 | 1.3 | met |",
        "| **rate** | null | 2.00 x | 2.00 to 2.00 | at least 3.5 | 5 | **missed** |",
        "| **growth** | null | 1.00 x |  | at most 1.1 |  | met |",
        "| calls | null | 8.00 |  |  |  |  |",
    ]


def test_the_backends_of_a_benchmark_share_a_table_and_have_separate_verdicts() -> None:
    fast = replace(RESULT.figures[1], values=(3.5, 3.6))
    other = replace(RESULT, backend="embedded", figures=(fast,))
    rendered = results.render([RESULT, other])
    assert rendered.count("### Unary") == 1
    assert "| **rate** | null | 2.00 x | 2.00 to 2.00 | at least 3.5 | 5 | **missed** |" in rendered
    assert "| **rate** | embedded | 3.55 x | 3.50 to 3.60 | at least 3.5 | 5 | met |" in rendered


def test_the_table_begins_with_the_missed_limits() -> None:
    first, _, line = results.render([RESULT]).split("\n")[:3]
    assert first == "2 of 3 figures meet their limit, 0 of 2 their target. Missed:"
    assert line == "- Unary, null: rate, 2.00 x, limit: at least 3.5"


def test_limited_figures_against_other_programs_are_also_in_one_table() -> None:
    go = replace(RESULT, benchmark="go-20kb", title="Consumer against Go, images of 20 KB")
    before, _, rest = results.render([RESULT, go]).partition("### Consumer against other programs")
    table, _, _ = rest.partition("###")
    assert "### Unary" not in before
    assert [line.partition(" | null")[0] for line in table.strip().splitlines()[2:]] == [
        "| 20 KB | **CPU** (less is better)",
        "| 20 KB | **rate**",
        "| 20 KB | **growth**",
    ]
    assert "other programs" not in results.render([RESULT])


def test_a_table_shows_commit_date_build_and_load() -> None:
    assert (
        "null: 2026-11-22, commit 0123456789ab-dirty, 3 rounds, 2 cores, "
        "Python 3.11.7 (GCC 12.2.0, of Nov  1 2026), load 0.5 to 2.25."
    ) in results.render([RESULT])


def test_only_the_generated_part_of_a_page_is_replaced() -> None:
    page = f"before {results.BEGIN} old {results.END} after"
    assert results.replace_table(page, "new") == (
        f"before {results.BEGIN}\n\nnew\n\n{results.END} after"
    )
    with pytest.raises(ValueError, match="no generated part"):
        results.replace_table("nothing", "new")


def test_a_result_is_read_back_from_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(results, "FOLDER", tmp_path / "reports")
    path = results.write(RESULT)
    assert path.name == "unary-null.json"
    assert results.read_all(path.parent) == [RESULT]


def test_a_commit_is_dirty_if_code_changed_but_not_if_reports_did(
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


def test_the_page_shows_the_committed_results() -> None:
    """Fails if `python -m loadtest.bench table` was not run after the last benchmark."""
    page = (ROOT / results.PAGE).read_text(encoding="utf-8")
    for result in results.read_all(ROOT / results.FOLDER):
        for figure in result.figures:
            assert re.search(re.escape(results.row(result, figure)), page), result.path.name
