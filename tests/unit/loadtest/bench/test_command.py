"""`python -m loadtest.bench`: selection, failures, exit codes and files."""

import json
import sysconfig
from pathlib import Path

import pytest

from loadtest.bench import __main__ as command
from loadtest.bench import results
from loadtest.bench.benchmark import EMBEDDED, NULL, Benchmark, Figure, Trial
from loadtest.bench.system.process import BenchFailed, BenchSkipped

RESULTS = Path("loadtest/reports/bench")


async def _counts(trial: Trial) -> list[Figure]:
    return [Figure("rounds", "", tuple(float(number) for number in range(trial.rounds)))]


async def _did_not_run(_: Trial) -> list[Figure]:
    raise BenchFailed("the server ended with 1")


async def _needs_go(_: Trial) -> list[Figure]:
    raise BenchSkipped("Go is not installed")


async def _broken(_: Trial) -> list[Figure]:
    raise ExceptionGroup("in a task", [KeyError("images")])


@pytest.fixture(autouse=True)
def _isolated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace the benchmarks, and run in another folder, because results and page have relative paths."""
    page = tmp_path / results.PAGE
    page.parent.mkdir()
    page.write_text(f"{results.BEGIN} old {results.END}")
    monkeypatch.chdir(tmp_path)
    kinds = {
        "broken": _broken,
        "idle": _did_not_run,
        "counts": _counts,
    }
    both = (NULL, EMBEDDED)
    benchmarks = tuple(Benchmark(name, name, both, kind) for name, kind in kinds.items())
    only_null = Benchmark("single", "single", (NULL,), _counts)
    needy = Benchmark("needy", "needy", (NULL,), _needs_go)
    monkeypatch.setattr(command, "BENCHMARKS", (*benchmarks, only_null, needy))


def written() -> list[str]:
    return sorted(path.name for path in RESULTS.glob("*"))


def test_a_failing_benchmark_does_not_stop_the_others(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["broken", "idle", "counts"]) == 1
    assert written() == ["counts-embedded.json", "counts-null.json"]
    assert "### counts" in results.PAGE.read_text()
    printed = capsys.readouterr()
    assert "the server ended with 1" in printed.out
    assert "KeyError: 'images'" in printed.out
    assert printed.err.splitlines() == [
        "failed: broken (null)",
        "failed: broken (embedded)",
        "failed: idle (null)",
        "failed: idle (embedded)",
    ]


def test_a_benchmark_without_its_tools_is_skipped_with_the_reason(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert command.main(["needy", "single"]) == 0
    assert written() == ["single-null.json"]
    assert "skipped: Go is not installed" in capsys.readouterr().out


def test_a_quick_run_writes_nothing() -> None:
    assert command.main(["counts", "--quick"]) == 0
    assert written() == []
    assert "old" in results.PAGE.read_text()


def test_a_result_has_its_provenance() -> None:
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
    ("arguments", "printed"),
    [
        (["nothing"], "not one of broken"),
        (["single", "--backend", "embedded"], "none of single runs on embedded"),
        (["single", "--rounds", "0"], "not a whole number above 0"),
    ],
)
def test_an_invalid_selection_is_a_usage_error(
    arguments: list[str], printed: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        command.main(arguments)
    assert ended.value.code == 2
    assert printed in capsys.readouterr().err
