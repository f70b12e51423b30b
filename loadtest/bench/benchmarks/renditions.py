"""Benchmark of renditions: the CPU time of one per image, and its list price.

One preset, a WebP of 256 pixels, is the default of the images' format. A consumer without presets runs beside it.
"""

import asyncio
import itertools
import tempfile
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from core.dynamodb import schema
from core.model.rendition import Rendition, renditions_id
from loadtest.bench.benchmark import NULL, Benchmark, Figure, Trial, balanced_order, ratios
from loadtest.bench.benchmarks.prices import MILLION, S3_PUT, WRITE_UNIT, item_bytes, write_units
from loadtest.bench.benchmarks.race import cpu, volume
from loadtest.bench.images.collection import LARGE
from loadtest.bench.subjects.consumer import Consumer, Lap, combine, our_consumer
from loadtest.bench.system.backend import null_aws
from loadtest.bench.system.process import BenchFailed

_PRESETS = """
[presets.thumbnail]
longest_side = 256
format = "WEBP"
default_for = ["JPEG"]
"""
_WITHOUT, _WITH = "without", "with"
_OBJECTS = {_WITHOUT: 1, _WITH: 2}
"""Uploads of an image."""
_POLL_S = 0.05
_STALL_S = 120.0


@dataclass(frozen=True, slots=True)
class _Subject:
    """A consumer, and how many objects it uploads for an image."""

    consumer: Consumer
    objects: int

    async def lap(self, images: int) -> Lap:
        """Process this number of images. Raises BenchFailed unless each has all of its objects."""
        consumer = self.consumer
        await consumer.aws.reset()
        before, began = consumer.process.cpu_seconds(), time.perf_counter()
        await consumer.aws.fill(list(itertools.islice(consumer.urls, images)))
        async with asyncio.timeout(_STALL_S):
            while _deleted(items := (await consumer.aws.calls())["items"]) < images:
                consumer.process.fail_if_ended()
                await asyncio.sleep(_POLL_S)
        if items.get("s3:PutObject", 0) != images * self.objects:
            raise BenchFailed(f"not every image was published with its rendition: {items}")
        spent = consumer.process.cpu_seconds() - before
        return Lap(images, spent, time.perf_counter() - began)


def _deleted(items: Mapping[str, int]) -> int:
    return items.get("sqs:DeleteMessage", 0) + items.get("sqs:DeleteMessageBatch", 0)


async def _measure(trial: Trial) -> list[Figure]:
    amount = volume(LARGE, trial)
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        file = await asyncio.to_thread(_write_presets, folder)
        subjects = {}
        for name, settings in ((_WITHOUT, {}), (_WITH, {"RENDITIONS_FILE": file})):
            aws = (await enter(null_aws())).with_settings(**settings)
            consumer = await enter(our_consumer(aws, LARGE, "draft"))
            subjects[name] = _Subject(consumer, _OBJECTS[name])
        for subject in subjects.values():
            await subject.lap(amount.warm_up)
        rounds = [await _round(subjects, amount.lap) for _ in range(trial.rounds)]
    without, with_one = (cpu(tuple(each[name] for each in rounds)) for name in (_WITHOUT, _WITH))
    return [
        Figure("CPU per image, with a rendition over without", "x", ratios(with_one, without)),
        Figure("CPU of a rendition", "µs", tuple(map(float.__sub__, with_one, without))),
        Figure("CPU per image without renditions", "µs", without),
        Figure("list price per million renditions", "USD", (list_price(),)),
    ]


def _write_presets(folder: Path) -> str:
    file = folder / "renditions.toml"
    file.write_text(_PRESETS)
    return str(file)


async def _round(subjects: Mapping[str, _Subject], images: int) -> dict[str, Lap]:
    turns: dict[str, list[Lap]] = {name: [] for name in subjects}
    for name in balanced_order(tuple(subjects)):
        turns[name].append(await subjects[name].lap(images // 2))
    return {name: combine(each) for name, each in turns.items()}


def list_price() -> float:
    """Return USD per million renditions, one for each image: its upload, and the row."""
    key = "images/00/0123456789abcdef/" + "0" * 64 + ".webp"
    rendition = Rendition(
        preset="thumbnail",
        definition="0" * 16,
        s3_url=f"s3://imageservice-images-000000000000/{key}",
        media_type="image/webp",
        width=256,
        height=171,
        bytes=9_000,
        sha256="0" * 64,
    )
    update = schema.renditions_update([rendition])
    row = {
        schema.IMAGE_ID: schema.string(renditions_id("0" * 36)),
        rendition.preset: update["ExpressionAttributeValues"][":0"],
    }
    return MILLION * (S3_PUT + write_units(item_bytes(row)) * WRITE_UNIT)


RENDITIONS = Benchmark("renditions", "Renditions, a WebP of 256 pixels each", (NULL,), _measure)
