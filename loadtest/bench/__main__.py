"""`python -m loadtest.bench`: run benchmarks, and put their figures into docs/performance.md.

python -m loadtest.bench                         all, on every backend
python -m loadtest.bench unary bulk --quick      some, in less time
python -m loadtest.bench unary --backend null    one backend
python -m loadtest.bench table                   only renew the table from the results that are there

A benchmark that fails stops no other, and keeps its last result in the table. Exits with 0 when all have run, with 1
when one has failed, with 130 when it was interrupted. A goal that is missed is no failure: the table says so.
"""

import argparse
import asyncio
import signal
import sys
from collections.abc import Callable, Sequence

from loadtest.bench import suite
from loadtest.bench.benchmark import EMBEDDED, NULL, Trial
from loadtest.bench.catalogue import BENCHMARKS
from loadtest.bench.results import outcome, table
from loadtest.bench.suite import Planned

TABLE = "table"
FAILED, INTERRUPTED = 1, 130


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
            _renew_table()
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
    parser.add_argument("--quick", action="store_true", help="short parts; the table stays")
    return parser


def _one_of(names: list[str]) -> Callable[[str], str]:
    # argparse's own choices refuse an empty list.
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
    """What is named, or all where nothing is; on the backend that is named, or on each that makes sense."""
    return [
        Planned(benchmark, Trial(backend, given.rounds, given.quick))
        for benchmark in BENCHMARKS
        if not given.names or benchmark.name in given.names
        for backend in benchmark.backends
        if given.backend in (None, backend)
    ]


async def _run(planned: Sequence[Planned]) -> list[str]:
    # The processes under measurement end with the blocks that hold them, so the run must unwind.
    ending = asyncio.current_task()
    if ending is not None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ending.cancel)
    return await suite.run(planned)


def _renew_table() -> None:
    order = {benchmark.name: place for place, benchmark in enumerate(BENCHMARKS)}
    results = [each for each in outcome.read_all() if each.benchmark in order]
    results.sort(key=lambda each: (order[each.benchmark], each.backend != NULL))
    page = table.PAGE.read_text(encoding="utf-8")
    table.PAGE.write_text(table.replaced(page, table.render(results)), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
