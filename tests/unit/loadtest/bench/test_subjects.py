"""The subjects of benchmarks, and the images that they fetch."""

import asyncio
import io
import json
import subprocess
import sys
from functools import partial
from pathlib import Path

import aiohttp
import pytest
from PIL import Image

from harness.reserved_port import ReservedPort
from loadtest.bench.images.collection import Kind, collection, image_body
from loadtest.bench.images.origin import Gate, image_origin
from loadtest.bench.subjects import img2dataset

TINY = Kind("tiny", 9_000, 1, 9)
ROOT = Path(__file__).parents[4]
SERVE_AND_PRINT = """
import asyncio, gc, json, os, signal, sys
import grpc
from core.runtime.gc_tuning import freeze_gc
from loadtest.bench.subjects import empty_server

async def main(address):
    serving = asyncio.ensure_future(empty_server.serve(address))
    async with grpc.aio.insecure_channel(address) as channel:
        await channel.channel_ready()
    found = [gc.get_threshold(), gc.get_freeze_count() > 0]
    freeze_gc()
    print(json.dumps([found, [gc.get_threshold(), gc.get_freeze_count() > 0]]))
    os.kill(os.getpid(), signal.SIGTERM)
    await serving

asyncio.run(main(sys.argv[1]))
"""


def test_the_empty_server_tunes_garbage_collection_as_the_real_one() -> None:
    """Otherwise the comparison would count the tuning as an advantage of ours."""
    port = ReservedPort()
    command = [sys.executable, "-c", SERVE_AND_PRINT, f"127.0.0.1:{port.number}"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    as_served, tuned = json.loads(ran.stdout)
    assert as_served == tuned


def sample() -> Image.Image:
    return Image.effect_mandelbrot((400, 300), (-2, -1.5, 1, 1.5), 90).convert("RGB")


def test_images_are_distinct_jpegs_within_their_target_size_and_reproducible() -> None:
    bodies = [image_body(TINY, number, [sample()]) for number in range(TINY.count)]
    assert len(set(bodies)) == TINY.count
    assert bodies == [image_body(TINY, number, [sample()]) for number in range(TINY.count)]
    for number, body in enumerate(bodies):
        assert len(body) <= TINY.target
        with Image.open(io.BytesIO(body)) as image:
            image.load()
            assert (image.format, image.size) == ("JPEG", (320, 240))
            assert bool(image.getexif()) == (number % 4 == 0)
            assert bool(image.info.get("progressive")) == (number % 8 == 1)


def test_a_closed_gate_holds_responses_until_they_are_admitted_in_order() -> None:
    answered: list[int] = []
    gate = Gate(0)
    for number in range(5):
        gate.handle(partial(answered.append, number))
    assert answered == []
    gate.admit(2)
    assert answered == [0, 1]
    gate.admit(10)
    gate.handle(lambda: answered.append(5))
    assert answered == [0, 1, 2, 3, 4, 5]
    assert gate.served == 6


def test_the_origin_serves_admitted_images_on_every_host(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folder = collection(TINY)
    bodies = [(folder / f"{number}.jpg").read_bytes() for number in range(TINY.count)]
    # A separate event loop, because creating the images blocks.
    assert asyncio.run(fetch_through_gate()) == bodies


async def fetch_through_gate() -> list[bytes]:
    async with image_origin(TINY, gated=True) as origin, aiohttp.ClientSession() as session:

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


def test_the_codec_imports_nothing_from_the_project() -> None:
    """It runs in the environment of img2dataset; here it must fail only on the packages of that environment."""
    ran = subprocess.run(
        [sys.executable, "-I", str(img2dataset.CODEC), "."],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "No module named 'cv2'" in ran.stderr
