"""Runs the images of public source packages through the inspection: `PYTHONPATH=tests python -m corpora`.

Prints the outcomes by source; lists crashes, limits, time-outs and slow images; compares with an earlier run. With
--exiftool, no published image may have a location, and the metadata must report each one that was removed. Exits
with status 1 if this fails, if the service fails, or if a package is missing.
"""

import argparse
import asyncio
import sys
from collections.abc import Iterable
from pathlib import Path

from core.runtime.logging import configure_logs
from corpora import location, report, samples, verdicts
from corpora.packages import NAMES, NotFetched, fetch
from corpora.samples import Sample
from corpora.verdicts import FAULTS, Published, Verdict
from harness import exiftool
from loadtest.tool_cache import tool_cache


def main() -> int:
    options = _parser().parse_args()
    if options.exiftool and not exiftool.available():
        return _fail("exiftool is not installed (Debian: libimage-exiftool-perl)")
    # Warnings of decoders about the samples are not of interest here.
    configure_logs("error", "console", "corpora")
    chosen, missing = _samples(options.sources, options.sample)
    _print(f"not fetched: {name}" for name in missing)
    if not chosen:
        return _fail("no samples")
    found, published = asyncio.run(_inspect(chosen, options))
    _report(found, options)
    failed = bool(missing) or any(each.outcome in FAULTS for each in found)
    if options.exiftool:
        checked = location.check(published)
        _print(report.locations(checked))
        failed = failed or not checked.passed
    return int(failed)


def _report(found: list[Verdict], options: argparse.Namespace) -> None:
    _print(report.counts(found))
    _print(report.attention(found))
    if options.list:
        _print(report.details(found, options.list))
    if options.compare:
        _print(report.changes(verdicts.load(options.compare), found))
    if options.save:
        verdicts.save(found, options.save)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m corpora", description=__doc__)
    parser.add_argument(
        "--sources", nargs="+", choices=NAMES, default=list(NAMES), metavar="PACKAGE"
    )
    parser.add_argument("--sample", type=int, metavar="N", help="at most N images of each package")
    parser.add_argument("--verification", choices=("full", "draft", "header"), default="full")
    parser.add_argument("--list", metavar="OUTCOME", help="list the images with this outcome")
    parser.add_argument("--save", type=Path, metavar="FILE")
    parser.add_argument("--compare", type=Path, metavar="FILE", help="file of an earlier --save")
    parser.add_argument("--exiftool", action="store_true", help="search for locations")
    return parser


def _samples(names: list[str], count: int | None) -> tuple[list[Sample], list[str]]:
    """Return the samples to inspect, and the packages that cannot be fetched."""
    chosen: list[Sample] = []
    missing: list[str] = []
    for package in fetch(names, tool_cache() / "corpora"):
        if isinstance(package, NotFetched):
            missing.append(str(package))
            continue
        found = samples.read_samples(package)
        chosen += found if count is None else samples.choose(found, count)
    return chosen, missing


async def _inspect(
    chosen: Iterable[Sample], options: argparse.Namespace
) -> tuple[list[Verdict], list[Published]]:
    found: list[Verdict] = []
    published: list[Published] = []
    async for verdict, body in verdicts.inspect_all(chosen, options.verification):
        found.append(verdict)
        if body is not None and options.exiftool:
            published.append(body)
    order = {(sample.source, sample.name): at for at, sample in enumerate(chosen)}
    return sorted(found, key=lambda each: order[each.source, each.name]), published


def _print(lines: Iterable[str]) -> None:
    for line in lines:
        sys.stdout.write(line + "\n")


def _fail(reason: str) -> int:
    sys.stderr.write(f"{reason}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
