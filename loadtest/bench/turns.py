"""The child of `loadtest.bench.checkouts`: runs one subject of one checkout, turn by turn.

It is run by path with the interpreter of the checkout that is measured, so it uses only what earlier checkouts have.
Each line of standard input is the size of a turn; each line of standard output is its CPU per image in microseconds.
The first line of output is empty: the subject is ready.
"""

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import cast

from loadtest.bench.benchmarks.submit import Target, measure, pace
from loadtest.bench.images.collection import LARGE, SMALL
from loadtest.bench.subjects.consumer import Verification, our_consumer
from loadtest.bench.system.backend import null_aws
from loadtest.bench.system.stages import server_stage

Turn = Callable[[int], Awaitable[float]]
"""Runs a turn of a size and returns microseconds of CPU per image."""

_SHAPES = ("unary", "bulk")


@asynccontextmanager
async def _consumer(kind: str, verification: str) -> AsyncIterator[Turn]:
    images = SMALL if kind == "small" else LARGE
    async with (
        null_aws() as aws,
        our_consumer(aws, images, cast("Verification", verification)) as consumer,
    ):

        async def turn(size: int) -> float:
            return (await consumer.lap(size)).cpu

        yield turn


@asynccontextmanager
async def _server(shape: str) -> AsyncIterator[Turn]:
    async with null_aws() as aws, server_stage(aws) as server:

        async def turn(size: int) -> float:
            return pace([await measure(Target(server, shape), size)]).cpu

        yield turn


async def _serve(subject: str) -> None:
    opened = _server(subject) if subject in _SHAPES else _consumer(*subject.split("-"))
    async with opened as turn:
        sys.stdout.write("\n")
        sys.stdout.flush()
        while line := await asyncio.to_thread(sys.stdin.readline):
            sys.stdout.write(f"{await turn(int(line))}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1]))
