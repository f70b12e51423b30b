"""`python -m loadtest.bench.checkouts OTHER`: compare the CPU per image of this checkout with that of another one.

OTHER is a clone with a virtual environment of the same Python (`make .venv/dev`), for example of the last release.
Both run in one session, in turns (A, B, B, A), each with a null AWS and an origin of its own. Prints the ratio of each
round, this checkout over the other, and the medians.
"""

import argparse
import asyncio
import statistics
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from loadtest.bench.benchmark import balanced_order, ratios
from loadtest.bench.system.process import BenchFailed

ROOT = Path(__file__).parents[2]
_CHILD = Path(__file__).with_name("turns.py")
_TURNS = {
    **dict.fromkeys(("small-full", "small-draft", "small-header"), 750),
    **dict.fromkeys(("large-full", "large-draft", "large-header"), 200),
    **dict.fromkeys(("unary", "bulk"), 4),
}
"""The subjects and the sizes of their turns: images of a consumer, seconds of a server."""
_READY_S = 120
_TURN_S = 180


class Subject:
    """A subject that runs in another process."""

    def __init__(self, process: Process) -> None:
        self._process = process

    async def ready(self) -> None:
        await self._line(_READY_S)

    async def turn(self, size: int) -> float:
        """Return microseconds of CPU per image. Raises BenchFailed if the process ends or takes too long."""
        if self._process.stdin is None:
            raise BenchFailed("the child has no input")
        self._process.stdin.write(f"{size}\n".encode())
        return float(await self._line(_TURN_S))

    async def _line(self, seconds: float) -> str:
        if self._process.stdout is None:
            raise BenchFailed("the child has no output")
        try:
            line = await asyncio.wait_for(self._process.stdout.readline(), seconds)
        except TimeoutError:
            raise BenchFailed(f"no answer of a checkout within {seconds} s") from None
        if not line:
            raise BenchFailed("the process of a checkout has ended")
        return line.decode().strip()


@asynccontextmanager
async def _subject(checkout: Path, name: str) -> AsyncIterator[Subject]:
    process = await asyncio.create_subprocess_exec(
        # -P keeps the folder of the script off the path: its modules would hide those of the standard library.
        *(str(checkout / ".venv/bin/python"), "-P", str(_CHILD), name),
        cwd=checkout,
        stdin=PIPE,
        stdout=PIPE,
    )
    subject = Subject(process)
    try:
        await subject.ready()
        yield subject
    finally:
        if process.stdin is not None:
            process.stdin.close()
        await process.wait()


async def compare(other: Path, name: str, rounds: int) -> Sequence[float]:
    """Return the CPU per image of this checkout over the other one, by round. Raises BenchFailed."""
    async with AsyncExitStack() as stack:
        ours = await stack.enter_async_context(_subject(ROOT, name))
        theirs = await stack.enter_async_context(_subject(other, name))
        for subject in (ours, theirs):
            await subject.turn(_TURNS[name])
        cpu: dict[Subject, list[float]] = {ours: [], theirs: []}
        for _ in range(rounds):
            turns: dict[Subject, list[float]] = {ours: [], theirs: []}
            for subject in balanced_order((ours, theirs)):
                turns[subject].append(await subject.turn(_TURNS[name]))
            for subject, values in turns.items():
                cpu[subject].append(statistics.fmean(values))
    return ratios(cpu[ours], cpu[theirs])


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m loadtest.bench.checkouts")
    parser.add_argument("other", type=Path, metavar="OTHER", help="the other checkout")
    parser.add_argument(
        "subjects", nargs="*", metavar="SUBJECT", help=f"of {', '.join(_TURNS)} (all)"
    )
    parser.add_argument("--rounds", type=int, default=5, help="rounds of four turns (5)")
    given = parser.parse_args(arguments)
    names = given.subjects or list(_TURNS)
    if unknown := sorted(set(names) - set(_TURNS)):
        parser.error(f"unknown: {', '.join(unknown)}")
    for name in names:
        try:
            values = asyncio.run(compare(given.other.resolve(), name, given.rounds))
        except BenchFailed as error:
            sys.stderr.write(f"{name}: {error}\n")
            return 1
        each = " ".join(f"{value:.3f}" for value in values)
        sys.stdout.write(f"{name:<13} {statistics.median(values):.3f}  ({each})\n")
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
