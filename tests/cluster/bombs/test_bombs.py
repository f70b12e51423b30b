"""The worst files of every format, and images of 48 megapixels, in a consumer that has the memory of its pod."""

import asyncio
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from cluster.bombs.files import LARGE, WORST, cached
from cluster.bombs.memory_group import MemoryGroup, memory_group
from cluster.bombs.run import Run, Verdict, consumer_in_group, run_parents
from harness.aws import RecordingAws
from harness.origin import origin
from harness.system import system
from loadtest.bench.images.collection import SMALL, collection

pytestmark = pytest.mark.timeout(7_200)

_POD_BYTES = 1 << 30
_WORST_COUNT = 100
_ALONE_S = 60
_OURS = frozenset({"INTERNAL", "CRASHED", "UNDELIVERABLE"})
"""Failure codes that do not blame the file."""


@pytest.fixture
def pod() -> Iterator[MemoryGroup]:
    with memory_group(_POD_BYTES) as group:
        yield group


@dataclass(frozen=True, slots=True)
class _Bodies:
    worst: Mapping[str, bytes]
    large: Mapping[str, bytes]
    ordinary: bytes


@pytest.fixture
def bodies() -> _Bodies:
    ordinary = (collection(SMALL) / "0.jpg").read_bytes()
    return _Bodies(_files(WORST), _files(LARGE), ordinary)


def _files(makers: Mapping[str, Callable[[], bytes]]) -> dict[str, bytes]:
    return {name: cached(name, make) for name, make in makers.items()}


async def test_the_worst_files_kill_no_consumer(
    embedded_aws: RecordingAws, pod: MemoryGroup, bodies: _Bodies, tmp_path: Path
) -> None:
    """No process of the consumer is killed or replaced, and every file has a verdict.

    The figures are printed: verdicts with their CPU time, the peak of memory, and the latency of ordinary images alone
    and together with 100 of the worst files.
    """
    async with origin() as images, system(embedded_aws) as running:
        await running.start_server()
        async with consumer_in_group(running, images, pod, tmp_path / "consumer.log") as run:
            url = images.serve_body("/ordinary", bodies.ordinary, "image/jpeg")
            urls = await run.serve(bodies.worst)
            large_verdicts = await run.one_by_one(await run.serve(bodies.large))
            _list(f"{len(bodies.large)} images of 48 megapixels, one after another", large_verdicts)
            worst_verdicts = await run.one_by_one(urls)
            _list(f"{len(bodies.worst)} worst files, one after another", worst_verdicts)
            async with run.ordinary(url) as alone:
                await asyncio.sleep(_ALONE_S)
            async with run.ordinary(url) as beside:
                together = await run.together(urls, _WORST_COUNT)
            _show(f"\n{_WORST_COUNT} worst files together")
            _show(f"  verdicts: {dict(Counter(each.state for each in together))}")
            _show(f"  the last one ended after {max(each.seconds for each in together):.0f} s")
            _show("Latency of ordinary images of 20 KB, ten a second")
            _show(f"  alone:                {_latency(alone)}")
            _show(f"  beside the 100 files: {_latency(beside)}")
            await _check(run, [*worst_verdicts, *together])
    assert not [each for each in large_verdicts if each.state != "COMPLETED"]


async def _check(run: Run, verdicts: list[Verdict]) -> None:
    kills = await asyncio.to_thread(run.group.kills)
    peak = await asyncio.to_thread(run.group.peak_bytes)
    _show(f"Peak of memory: {peak >> 20} MiB of {_POD_BYTES >> 20}; killed by the kernel: {kills}")
    _show(f"Decoders that died: {dict(await run.decoder_ends())}")
    assert kills == 0
    assert run.consumer.returncode is None
    assert await asyncio.to_thread(run_parents, run.group) == run.pids
    assert not [each for each in verdicts if each.state in _OURS]


def _list(title: str, verdicts: list[Verdict]) -> None:
    _show(f"\n{title}")
    for each in verdicts:
        line = f"  {each.name:45} {each.state:16} {each.cpu_seconds:5.1f} s of CPU"
        _show(f"{line}, {each.seconds:5.1f} s  {each.detail[:90]}")


def _show(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _latency(seconds: list[float]) -> str:
    """Return the median, the 95th percentile and the largest of sorted latencies."""
    middle, high = seconds[len(seconds) // 2], seconds[len(seconds) * 95 // 100]
    return f"p50 {middle:.2f} s, p95 {high:.2f} s, max {seconds[-1]:.2f} s ({len(seconds)} images)"
