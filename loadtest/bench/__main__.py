"""`python -m loadtest.bench`: run benchmarks, and put their figures into docs/performance.md.

python -m loadtest.bench                         all, on every backend
python -m loadtest.bench unary bulk --quick      some, in less time
python -m loadtest.bench unary --backend null    one backend
python -m loadtest.bench table                   only renew the table from the results that are there
"""

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Callable

from loadtest.bench import outcome, table
from loadtest.bench.benchmark import NULL, Benchmark, Figure, Trial
from loadtest.bench.catalogue import BENCHMARKS
from loadtest.bench.process import BenchFailed
from loadtest.bench.spread import spread

TABLE = "table"
INTERRUPTED = 130


def main() -> int:
    given = _parser().parse_args()
    names = set(given.names) - {TABLE}
    if names or TABLE not in given.names:
        chosen = [each for each in BENCHMARKS if not names or each.name in names]
        try:
            asyncio.run(_run(chosen, given.backend, given.rounds, quick=given.quick))
        except BenchFailed as failure:
            sys.stderr.write(f"{failure}\n")
            return 1
        except (KeyboardInterrupt, asyncio.CancelledError):
            return INTERRUPTED
    if not given.quick:
        _renew_table()
    return 0


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
    parser.add_argument("--backend", help="only this one: null, embedded or none")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="short parts; the table stays")
    return parser


def _one_of(names: list[str]) -> Callable[[str], str]:
    # argparse's own choices refuse an empty list.
    def parse(name: str) -> str:
        if name not in names:
            raise argparse.ArgumentTypeError(f"not one of {', '.join(names)}")
        return name

    return parse


async def _run(
    benchmarks: list[Benchmark], backend: str | None, rounds: int, *, quick: bool
) -> None:
    # The processes under measurement end with the blocks that hold them, so the run must unwind.
    ending = asyncio.current_task()
    if ending is not None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ending.cancel)
    for benchmark in benchmarks:
        for each in benchmark.backends:
            if backend not in (None, each):
                continue
            _say(f"\n{benchmark.title} ({each})")
            trial = Trial(each, rounds, quick)
            load = os.getloadavg()[0]
            figures = await benchmark.run(trial)
            for figure in figures:
                _say(_line(figure))
            if not quick:
                outcome.write(outcome.outcome(benchmark, trial, figures, load=load))


def _line(figure: Figure) -> str:
    found = spread(figure.values)
    extent = f"{table.number(found.lowest)} to {table.number(found.highest)}"
    median = f"{table.number(found.median)} {figure.unit}"
    return f"  {figure.name:<58} {median:>14}  {extent:<20} {figure.goal}"


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _renew_table() -> None:
    order = {benchmark.name: place for place, benchmark in enumerate(BENCHMARKS)}
    results = [each for each in outcome.read_all() if each.benchmark in order]
    results.sort(key=lambda each: (order[each.benchmark], each.backend != NULL))
    page = table.PAGE.read_text(encoding="utf-8")
    table.PAGE.write_text(table.replaced(page, table.render(results)), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
