"""`python -m loadtest.bench`: what is run, what is said of failures, and what is left behind."""

import json
import sysconfig
from pathlib import Path

import pytest

from loadtest.bench import __main__ as command
from loadtest.bench.benchmark import EMBEDDED, NULL, Benchmark, Figure, Trial
from loadtest.bench.results import table
from loadtest.bench.system.process import BenchFailed

RESULTS = Path("loadtest/reports/bench")


async def _counts(trial: Trial) -> list[Figure]:
    return [Figure("rounds", "", tuple(float(number) for number in range(trial.rounds)))]


async def _did_not_run(_: Trial) -> list[Figure]:
    raise BenchFailed("the server ended with 1")


async def _broken(_: Trial) -> list[Figure]:
    raise ExceptionGroup("in a task", [KeyError("images")])


async def _interrupted(_: Trial) -> list[Figure]:
    raise KeyboardInterrupt


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Benchmarks of its own in a folder of its own: results and page are found from the current folder."""
    page = tmp_path / table.PAGE
    page.parent.mkdir()
    page.write_text(f"{table.BEGIN} old {table.END}")
    monkeypatch.chdir(tmp_path)
    kinds = {
        "broken": _broken,
        "idle": _did_not_run,
        "interrupted": _interrupted,
        "counts": _counts,
    }
    both = (NULL, EMBEDDED)
    benchmarks = tuple(Benchmark(name, name, both, kind) for name, kind in kinds.items())
    only_null = Benchmark("single", "single", (NULL,), _counts)
    monkeypatch.setattr(command, "BENCHMARKS", (*benchmarks, only_null))


def written() -> list[str]:
    return sorted(path.name for path in RESULTS.glob("*"))


def test_a_benchmark_that_fails_stops_no_other(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["broken", "idle", "counts"]) == 1
    assert written() == ["counts-embedded.json", "counts-null.json"]
    assert "### counts" in table.PAGE.read_text()
    said = capsys.readouterr()
    assert "the server ended with 1" in said.out
    assert "KeyError: 'images'" in said.out
    assert said.err.splitlines() == [
        "failed: broken (null)",
        "failed: broken (embedded)",
        "failed: idle (null)",
        "failed: idle (embedded)",
    ]


def test_the_exit_code_is_zero_when_all_have_run() -> None:
    assert command.main(["counts", "--backend", "null", "--rounds", "2"]) == 0
    assert written() == ["counts-null.json"]


def test_an_interrupted_run_leaves_what_it_has_and_a_table_of_it() -> None:
    RESULTS.mkdir(parents=True)
    command.main(["counts", "--backend", "null"])
    table.PAGE.write_text(f"{table.BEGIN} old {table.END}")
    assert command.main(["interrupted"]) == 130
    assert "### counts" in table.PAGE.read_text()


def test_a_failed_benchmark_keeps_its_last_result_in_the_table(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    command.main(["single"])
    monkeypatch.setattr(
        command, "BENCHMARKS", (Benchmark("single", "single", (NULL,), _did_not_run),)
    )
    assert command.main(["single"]) == 1
    assert "### single" in table.PAGE.read_text()


def test_a_quick_run_writes_nothing() -> None:
    assert command.main(["counts", "--quick"]) == 0
    assert written() == []
    assert "old" in table.PAGE.read_text()


def test_a_result_says_where_it_comes_from() -> None:
    command.main(["counts", "--backend", "null"])
    result = json.loads((RESULTS / "counts-null.json").read_text())
    assert result["commit"].removesuffix("-dirty")
    assert result["date"].endswith("+00:00")
    assert "cores of" in result["machine"]
    assert result["python"]["version"] == sysconfig.get_config_var("py_version")
    assert result["python"]["compiler"]
    assert result["load_at_start"] >= 0
    assert result["load_at_end"] >= 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nothing"], "not one of broken"),
        (["single", "--backend", "embedded"], "none of single runs on embedded"),
        (["single", "--backend", "other"], "invalid choice"),
        (["single", "--rounds", "0"], "not a whole number above 0"),
    ],
)
def test_what_cannot_be_run_is_said_at_once(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        command.main(arguments)
    assert ended.value.code == 2
    assert said in capsys.readouterr().err
