"""Inspects samples as the worker does, in decoder processes, and records the outcome of each."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from consumer.imaging.policy import ImagePolicy, Verification
from consumer.sandbox.decode_pool import DecodePool, open_decode_pool
from core.errors import ImageFailure
from corpora.samples import Sample

COMPLETED = "COMPLETED"
UNEXPECTED = "UNEXPECTED"
"""An error that is no verdict about the image: a bug of ours."""
TIMED_OUT = "TIMED_OUT"
"""No answer: the limit of CPU time did not hold."""
FAULTS = ("CRASHED", UNEXPECTED, TIMED_OUT)
DECODERS = 3
_BUDGET_BYTES = 512 * 1024 * 1024
_CPU_LIMIT_S = 10.0
_DEADLINE_S = 120.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """The outcome of a sample.

    outcome: COMPLETED, the name of a failure code, UNEXPECTED or TIMED_OUT.
    facts: of a completed image, by the names of its metadata.
    """

    source: str
    name: str
    outcome: str
    detail: str = ""
    seconds: float = 0.0
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Published:
    """The body that would be stored for a completed sample."""

    sample: Sample
    body: bytes = field(repr=False)
    extension: str
    had_location: bool
    removed: bool
    """Whether the metadata lists a removed part."""


async def inspect_all(
    samples: Iterable[Sample], verification: Verification
) -> AsyncIterator[tuple[Verdict, Published | None]]:
    """Inspect all samples, as many at a time as there are decoders."""
    policy = ImagePolicy(verification=verification)
    async with open_decode_pool(
        policy, decoders=DECODERS, budget_bytes=_BUDGET_BYTES, cpu_limit_s=_CPU_LIMIT_S
    ) as pool:
        running: set[asyncio.Task[tuple[Verdict, Published | None]]] = set()
        for sample in samples:
            running.add(asyncio.create_task(_inspect(pool, sample)))
            if len(running) == DECODERS:
                done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    yield task.result()
        for task in running:
            yield await task


async def _inspect(pool: DecodePool, sample: Sample) -> tuple[Verdict, Published | None]:
    started = time.perf_counter()

    def verdict(outcome: str, detail: str = "", **facts: Any) -> Verdict:
        seconds = round(time.perf_counter() - started, 3)
        return Verdict(sample.source, sample.name, outcome, detail, seconds, facts)

    try:
        async with asyncio.timeout(_DEADLINE_S):
            result = await pool.inspect(sample.body)
    except ImageFailure as failure:
        return verdict(failure.code.name, failure.detail), None
    except TimeoutError:
        return verdict(TIMED_OUT), None
    except Exception as error:  # noqa: BLE001  listed as a bug; the other samples go on
        return verdict(UNEXPECTED, f"{type(error).__name__}: {error}"), None
    metadata = result.metadata
    facts: dict[str, Any] = {
        "format": metadata.format,
        "size": f"{metadata.width}x{metadata.height}",
        "frames": metadata.frames,
        "dominant_color": metadata.dominant_color,
        "capture_time": str(metadata.capture_time or ""),
        "camera": metadata.camera,
        "had_location": metadata.had_location,
    }
    published = Published(
        sample,
        result.body,
        result.extension,
        had_location=metadata.had_location,
        removed=bool(metadata.removed),
    )
    return verdict(COMPLETED, **facts), published


def save(verdicts: Iterable[Verdict], file: Path) -> None:
    file.write_text(json.dumps([asdict(each) for each in verdicts], indent=0), encoding="utf-8")


def load(file: Path) -> list[Verdict]:
    return [Verdict(**each) for each in json.loads(file.read_text(encoding="utf-8"))]
