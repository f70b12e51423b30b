"""The decode pool limits the memory of images that are decoded at the same time."""

import asyncio
from collections.abc import AsyncIterator
from io import BytesIO

import pytest
from PIL import Image

from consumer.imaging.inspection import inspect, probe
from consumer.imaging.policy import ImagePolicy
from consumer.worker.decode_pool import SMALL_BYTES, DecodePool
from core.errors import CorruptImage
from harness.images import gradient_image, sample

POLICY = ImagePolicy(verification="full")
BUDGET = 64 * 1024 * 1024
SMALL = (sample("portrait-rotated.jpg"), sample("cat-animated.webp"))


def large_png() -> bytes:
    """An image of few bytes that takes 20 MB once decoded."""
    out = BytesIO()
    Image.new("RGB", (2_400, 2_000)).save(out, "PNG")
    return out.getvalue()


@pytest.fixture
async def decoder() -> AsyncIterator[DecodePool]:
    decoder = DecodePool(POLICY, threads=2, budget_bytes=BUDGET)
    yield decoder
    assert decoder._budget.free == BUDGET
    decoder.close()


async def test_small_and_large_images_are_inspected_alike(decoder: DecodePool) -> None:
    """The size in memory decides how an image is admitted, not what is read from it."""
    large = large_png()
    assert probe(large, POLICY).decode_bytes > SMALL_BYTES
    for body in (*SMALL, large):
        assert await decoder.inspect(body) == inspect(body, POLICY)


async def test_a_large_image_waits_for_its_bytes(decoder: DecodePool) -> None:
    """It is not decoded within the reservation of a small one."""
    large = large_png()
    async with decoder._budget.reserve(BUDGET - SMALL_BYTES):
        waiting = asyncio.create_task(decoder.inspect(large))
        for _ in range(10):
            assert (await decoder.inspect(gradient_image("PNG", (8, 8)))).metadata.width == 8
            if decoder._budget._waiting:
                break
        assert not waiting.done()
    assert (await waiting).metadata.width == 2_400


async def test_an_image_larger_than_the_budget_is_decoded_alone() -> None:
    """A budget below the size of one image slows decoding down but does not stop it."""
    decoder = DecodePool(POLICY, threads=2, budget_bytes=2_000_000)
    bodies = [large_png(), gradient_image("PNG", (8, 8)), large_png()]
    widths = [found.metadata.width for found in await asyncio.gather(*map(decoder.inspect, bodies))]
    assert widths == [2_400, 8, 2_400]
    assert decoder._budget.free == 2_000_000
    decoder.close()


async def test_a_failure_releases_its_reservation(decoder: DecodePool) -> None:
    """Images that cannot be decoded leave room for the next."""
    for body in (gradient_image("PNG", (8, 8))[:40], large_png()[:-20]):
        with pytest.raises(CorruptImage):
            await decoder.inspect(body)
