"""All benchmarks, in the order of the table."""

from loadtest.bench import against_img2dataset, aws_calls, growth, submitting, watching
from loadtest.bench.benchmark import Benchmark

BENCHMARKS: tuple[Benchmark, ...] = (
    submitting.UNARY,
    submitting.BATCHED,
    submitting.BULK,
    against_img2dataset.SMALL_IMAGES,
    against_img2dataset.LARGE_IMAGES,
    aws_calls.CALLS,
    watching.WATCH,
    growth.GROWTH,
    growth.MEMORY,
)
