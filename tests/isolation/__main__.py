"""Measures the isolation of customers: `PYTHONPATH=tests python -m isolation SCENARIO…`.

Each scenario runs real processes on the embedded AWS, or with --backend real on DynamoDB Local and ElasticMQ. Prints
the figures with their limits. Exits with status 1 if a limit is missed.
"""

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

from backends import jars
from harness.aws import recording_aws
from isolation.scenarios import SCENARIOS, Figure, Options


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m isolation",
        description=__doc__,
        epilog="\n".join(f"{name}: {each.__doc__}" for name, each in SCENARIOS.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help="all without one")
    parser.add_argument("--size", type=int, default=0, help="requests of customer A")
    parser.add_argument("--consumers", type=int, default=1, help="number of consumers (1)")
    parser.add_argument("--concurrency", type=int, default=64, help="CONCURRENCY of each (64)")
    parser.add_argument("--redis", action="store_true", help="with a Redis for all processes")
    parser.add_argument("--retry-after", metavar="VALUE", help="header of the 429s (none)")
    parser.add_argument("--seconds", type=float, default=600, help="limit of rated-hosts (600)")
    parser.add_argument("--backend", choices=("embedded", "real"), default="embedded")
    given = parser.parse_args()
    names = given.scenarios or list(SCENARIOS)
    if unknown := sorted(set(names) - set(SCENARIOS)):
        parser.error(f"unknown: {', '.join(unknown)}")
    options = Options(
        size=given.size,
        consumers=given.consumers,
        concurrency=given.concurrency,
        redis=given.redis,
        retry_after=given.retry_after,
        seconds=given.seconds,
    )
    folder = jars.fetch() if given.backend == "real" else None
    met = [_run(name, options, folder) for name in names]
    return int(not all(met))


def _run(name: str, options: Options, folder: Path | None) -> bool:
    """Run one scenario, and print its figures. Returns whether every limit is met."""
    sys.stdout.write(f"{name}\n")
    figures = asyncio.run(_measure(name, options, folder))
    for figure in figures:
        limit = "" if figure.limit is None else f"  (limit: {figure.limit})"
        missed = "" if figure.met else "  MISSED"
        sys.stdout.write(f"    {figure.name}: {figure.value}{limit}{missed}\n")
    sys.stdout.flush()
    return all(figure.met for figure in figures)


async def _measure(name: str, options: Options, folder: Path | None) -> list[Figure]:
    with tempfile.TemporaryDirectory(prefix="imageservice-isolation-") as logs:
        async with recording_aws(Path(logs) / "calls.jsonl", jars=folder) as aws:
            return await SCENARIOS[name](aws, options)


if __name__ == "__main__":
    sys.exit(main())
