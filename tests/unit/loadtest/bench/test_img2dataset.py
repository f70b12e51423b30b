"""The comparison with img2dataset: what is computed, what is fed, and what is said where it cannot run."""

import asyncio
import io
import subprocess
import sys
from functools import partial
from pathlib import Path

import aiohttp
import pytest
from PIL import Image

from loadtest.bench.benchmark import NULL, Figure, Trial
from loadtest.bench.benchmarks import against_img2dataset
from loadtest.bench.contestants.contestant import Lap
from loadtest.bench.img2dataset import environment
from loadtest.bench.photographs.collection import LARGE, SMALL, Kind, photograph, photographs
from loadtest.bench.photographs.origin import Gate
from loadtest.bench.photographs.published import published
from loadtest.bench.system.process import BenchFailed

TINY = Kind("tiny", 9_000, 1, 9)


def laps(*microseconds: float) -> tuple[Lap, ...]:
    return tuple(Lap(images=100, cpu_s=each / 10_000, seconds=1) for each in microseconds)


def named(figures: list[Figure]) -> dict[tuple[str, str], Figure]:
    return {(figure.name, figure.unit): figure for figure in figures}


def test_header_is_set_against_the_cheapest_download_that_keeps_the_pictures() -> None:
    measured = {
        "ours": laps(1_000, 1_200),
        "parquet": laps(2_000, 2_000),
        "webdataset": laps(4_000, 4_000),
        "dummy": laps(500, 600),
    }
    figures = named(against_img2dataset.download_figures(measured))
    goal = figures["CPU an image, header against img2dataset's download to parquet", "x"]
    assert goal.values == pytest.approx((0.5, 0.6))
    assert str(goal.goal) == "at most 1.1"
    nothing = figures["CPU an image, the same, keeping nothing", "x"]
    assert nothing.values == pytest.approx((2.0, 2.0))
    assert not nothing.goal
    rate = figures["header, ours", "images/CPU-s"]
    assert rate.values == pytest.approx((1_000, 833.33), rel=1e-3)


def test_encoding_is_taken_off_before_full_decoding_is_compared() -> None:
    figures = named(
        against_img2dataset.decode_figures(
            {
                "ours": laps(3_000, 3_300),
                "encodes": laps(4_000, 4_200),
                "decodes": laps(3_000, 3_000),
            },
            [1_000, 1_200],
        )
    )
    goal = figures["CPU an image, full decode against img2dataset's less encoding", "x"]
    assert goal.values == pytest.approx((1.0, 1.1))
    assert str(goal.goal) == "at most 1.1"
    check = figures["CPU an image, the same, against its decoding of JPEG alone", "x"]
    assert check.values == pytest.approx((1.0, 1.1))


@pytest.mark.parametrize("kind", [SMALL, LARGE])
def test_img2dataset_is_given_a_url_for_every_lap(kind: Kind) -> None:
    amount = against_img2dataset.volume(kind, Trial(NULL, rounds=5))
    quick = against_img2dataset.volume(kind, Trial(NULL, rounds=5, quick=True))
    assert amount.total(5) == amount.warm_up + 5 * amount.lap
    assert amount.lap % 2 == quick.lap % 2 == 0, "a round's two turns share a lap's images"
    assert quick.lap < amount.lap


class Entrant:
    """Writes down whose turn it was."""

    def __init__(self, name: str, turns: list[tuple[str, int]]) -> None:
        self._name = name
        self._turns = turns

    async def lap(self, images: int) -> Lap:
        self._turns.append((self._name, images))
        return Lap(images=images, cpu_s=len(self._turns) / 10, seconds=1)


async def test_a_round_gives_each_its_turns_there_and_back() -> None:
    turns: list[tuple[str, int]] = []
    entrants = {name: Entrant(name, turns) for name in ("ours", "parquet", "dummy")}
    laps = await against_img2dataset.race(entrants, 100)
    assert turns == [
        *(("ours", 50), ("parquet", 50), ("dummy", 50)),
        *(("dummy", 50), ("parquet", 50), ("ours", 50)),
    ]
    # Costs that rise from turn to turn are the same for all.
    assert [lap.cpu_s for lap in laps.values()] == pytest.approx([0.7, 0.7, 0.7])
    assert {lap.images for lap in laps.values()} == {100}


def sample() -> Image.Image:
    return Image.effect_mandelbrot((400, 300), (-2, -1.5, 1, 1.5), 90).convert("RGB")


def test_photographs_are_distinct_jpegs_within_their_target_and_the_same_each_time() -> None:
    bodies = [photograph(TINY, number, [sample()]) for number in range(TINY.count)]
    assert len(set(bodies)) == TINY.count
    assert bodies == [photograph(TINY, number, [sample()]) for number in range(TINY.count)]
    for number, body in enumerate(bodies):
        assert len(body) <= TINY.target
        with Image.open(io.BytesIO(body)) as image:
            image.load()
            assert (image.format, image.size) == ("JPEG", (320, 240))
            assert bool(image.getexif()) == (number % 4 == 0)
            assert bool(image.info.get("progressive")) == (number % 8 == 1)


def test_photographs_are_made_once_and_outside_the_clone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folder = photographs(TINY)
    assert folder.is_relative_to(tmp_path)
    assert sorted(path.name for path in folder.iterdir()) == [f"{n}.jpg" for n in range(TINY.count)]
    (folder / "0.jpg").write_bytes(b"kept")
    assert photographs(TINY) == folder
    assert (folder / "0.jpg").read_bytes() == b"kept"


def test_a_closed_gate_holds_answers_until_they_are_admitted_in_their_order() -> None:
    answered: list[int] = []
    gate = Gate(0)
    for number in range(5):
        gate.pass_through(partial(answered.append, number))
    assert answered == []
    gate.admit(2)
    assert answered == [0, 1]
    gate.admit(10)
    gate.pass_through(lambda: answered.append(5))
    assert answered == [0, 1, 2, 3, 4, 5]
    assert gate.served == 6


def test_an_open_gate_holds_nothing() -> None:
    answered: list[int] = []
    gate = Gate(None)
    gate.pass_through(lambda: answered.append(0))
    assert answered == [0]


def test_the_origin_serves_the_photographs_on_every_host_once_they_are_admitted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folder = photographs(TINY)
    bodies = [(folder / f"{number}.jpg").read_bytes() for number in range(TINY.count)]
    # A program of its own, that may block between what it measures.
    assert asyncio.run(fetch_through_gate()) == bodies


async def fetch_through_gate() -> list[bytes]:
    async with published(TINY, gated=True) as origin, aiohttp.ClientSession() as session:

        async def body(url: str) -> bytes:
            async with session.get(url) as response:
                assert response.content_type == "image/jpeg"
                return await response.read()

        urls = origin.urls(TINY.count)
        assert len({url.split("/")[2] for url in urls}) == TINY.count
        fetched = [asyncio.create_task(body(url)) for url in urls]
        await origin.admit(1)
        await asyncio.wait(fetched, return_when=asyncio.FIRST_COMPLETED)
        assert await origin.served() == 1
        await origin.admit(TINY.count)
        bodies = await asyncio.gather(*fetched)
        assert await origin.served() == TINY.count
        return bodies


def test_what_cannot_be_installed_is_said_in_one_line_and_leaves_nothing_behind(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    requirements = tmp_path / "requirements.txt"
    requirements.write_text(
        "no-such-distribution @ file:///nonexistent/no_such-1-py3-none-any.whl\n"
    )
    monkeypatch.setattr(environment, "REQUIREMENTS", requirements)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with pytest.raises(BenchFailed, match=r"could not install: .+") as failure:
        environment.environment()
    assert "\n" not in str(failure.value)
    assert list((tmp_path / "cache" / "imageservice-tools").iterdir()) == []


def test_the_pinned_version_is_the_one_that_is_named() -> None:
    pinned = environment.REQUIREMENTS.read_text().splitlines()
    assert f"img2dataset=={environment.VERSION}" in pinned
    assert all("==" in line for line in pinned if line and not line.startswith("#"))


def test_the_codec_needs_nothing_of_the_project() -> None:
    """It runs in img2dataset's environment; here it must get as far as that environment's packages."""
    script = Path(environment.__file__).parent / "codec.py"
    ran = subprocess.run(
        [sys.executable, "-I", str(script), "."], capture_output=True, text=True, check=False
    )
    assert "No module named 'cv2'" in ran.stderr
