"""`python -m loadtest.bench`: run benchmarks and write their figures into docs/performance.md.

python -m loadtest.bench                         all benchmarks, on every backend that they support
python -m loadtest.bench unary bulk --quick      two of them, with short parts
python -m loadtest.bench unary --backend null    on one backend
python -m loadtest.bench table                   render the table from the existing results

If a benchmark fails, the others still run, and its last result stays in the table. Exit code: 0 if all ran, 1 if one
failed, 130 if interrupted. A missed limit is not a failure; the table shows it. A benchmark whose rival cannot be built
here is skipped.
"""

import argparse
import asyncio
import os
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from loadtest.bench import results
from loadtest.bench.benchmark import EMBEDDED, NULL, Benchmark, Figure, Trial, spread
from loadtest.bench.benchmarks import (
    aws_calls,
    go,
    img2dataset,
    memory,
    pod,
    redis_effect,
    renditions,
    search,
    submit,
    watch_latency,
    watch_load,
)
from loadtest.bench.system.process import BenchFailed, BenchSkipped
from loadtest.run_report.heading import commit

BENCHMARKS: tuple[Benchmark, ...] = (
    submit.UNARY,
    submit.BULK,
    go.SMALL_IMAGES,
    go.LARGE_IMAGES,
    img2dataset.SMALL_IMAGES,
    img2dataset.LARGE_IMAGES,
    renditions.RENDITIONS,
    aws_calls.CALLS,
    watch_load.WATCH,
    redis_effect.REDIS,
    watch_latency.PUSH,
    search.SEARCH,
    memory.MEMORY,
    pod.POD,
)
"""In the order of the table."""

TABLE = "table"
FAILED, INTERRUPTED = 1, 130


@dataclass(frozen=True, slots=True)
class Planned:
    benchmark: Benchmark
    trial: Trial

    @property
    def name(self) -> str:
        return f"{self.benchmark.title} ({self.trial.backend})"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = _parser()
    given = parser.parse_args(arguments)
    planned = _planned(given)
    if not planned and given.names != [TABLE]:
        parser.error(f"none of {', '.join(given.names)} runs on {given.backend}")
    try:
        failed = asyncio.run(_run(planned))
    except (KeyboardInterrupt, asyncio.CancelledError):
        return INTERRUPTED
    finally:
        if not given.quick:
            _render_table()
    for name in failed:
        sys.stderr.write(f"failed: {name}\n")
    return FAILED if failed else 0


def _parser() -> argparse.ArgumentParser:
    names = [*(benchmark.name for benchmark in BENCHMARKS), TABLE]
    parser = argparse.ArgumentParser(
        prog="python -m loadtest.bench",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "names", nargs="*", metavar="NAME", type=_one_of(names), help=", ".join(names)
    )
    parser.add_argument("--backend", choices=(NULL, EMBEDDED), help="only this one")
    parser.add_argument("--rounds", type=_positive, default=5)
    parser.add_argument("--quick", action="store_true", help="short parts, no result files")
    return parser


def _one_of(names: list[str]) -> Callable[[str], str]:
    # The `choices` of argparse reject an empty list.
    def parse(name: str) -> str:
        if name not in names:
            raise argparse.ArgumentTypeError(f"not one of {', '.join(names)}")
        return name

    return parse


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError("not a whole number above 0")
    return int(text)


def _planned(given: argparse.Namespace) -> list[Planned]:
    """Select the named benchmarks, or all; each on the named backend, or on all that it supports."""
    return [
        Planned(benchmark, Trial(backend, given.rounds, given.quick))
        for benchmark in BENCHMARKS
        if not given.names or benchmark.name in given.names
        for backend in benchmark.backends
        if given.backend in (None, backend)
    ]


async def _run(planned: Sequence[Planned]) -> list[str]:
    """Run all and return the names of those that failed."""
    # The measured processes end when their context managers exit, so SIGTERM must cancel this task.
    current = asyncio.current_task()
    if current is not None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, current.cancel)
    # Before measuring: these processes start from this code.
    checked_out = await asyncio.to_thread(commit)
    failed = []
    for each in planned:
        _print(f"\n{each.name}")
        try:
            await _measure(each, checked_out)
        except BenchSkipped as reason:
            _print(f"  skipped: {reason}")
        except BenchFailed as failure:
            _print(f"  failed: {failure}")
            failed.append(each.name)
        except Exception:  # noqa: BLE001  one failure must not stop the other benchmarks
            _print(f"  failed: {traceback.format_exc()}")
            failed.append(each.name)
    return failed


async def _measure(planned: Planned, checked_out: str) -> None:
    """Run one benchmark, print its figures, and write the result unless the run is quick."""
    benchmark, trial = planned.benchmark, planned.trial
    load = os.getloadavg()[0]
    figures = await benchmark.run(trial)
    loads = load, os.getloadavg()[0]
    for figure in figures:
        _print(_line(figure))
    if not trial.quick:
        results.write(results.new_result(benchmark, trial, figures, commit=checked_out, load=loads))


def _line(figure: Figure) -> str:
    found = spread(figure.values)
    extent = f"{results.number(found.lowest)} to {results.number(found.highest)}"
    judged = f"{figure.threshold}: {results.verdict(figure)}" if figure.threshold else ""
    return f"  {figure.name:<58} {results.median(figure):>14}  {extent:<20} {judged}".rstrip()


def _print(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _render_table() -> None:
    order = {benchmark.name: place for place, benchmark in enumerate(BENCHMARKS)}
    found = [each for each in results.read_all() if each.benchmark in order]
    found.sort(key=lambda each: (order[each.benchmark], each.backend != NULL))
    page = results.PAGE.read_text(encoding="utf-8")
    results.PAGE.write_text(results.replace_table(page, results.render(found)), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
