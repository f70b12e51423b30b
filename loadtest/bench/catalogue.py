"""All benchmarks, in the order of the table."""

from loadtest.bench.benchmark import Benchmark
from loadtest.bench.benchmarks import (
    against_img2dataset,
    aws_calls,
    growth,
    memory,
    pod,
    pushing,
    searching,
    sharing,
    submitting,
    watching,
)

BENCHMARKS: tuple[Benchmark, ...] = (
    submitting.UNARY,
    submitting.BATCHED,
    submitting.BULK,
    against_img2dataset.SMALL_IMAGES,
    against_img2dataset.LARGE_IMAGES,
    aws_calls.CALLS,
    watching.WATCH,
    sharing.REDIS,
    pushing.PUSH,
    searching.SEARCH,
    growth.GROWTH,
    memory.MEMORY,
    pod.POD,
)
