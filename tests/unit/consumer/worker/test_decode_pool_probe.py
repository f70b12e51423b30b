"""The probe rejects bodies that are no acceptable image before they get memory."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from consumer.imaging.inspection import inspect
from consumer.imaging.policy import ImagePolicy
from consumer.worker.decode_pool import DecodePool
from core.errors import CorruptImage, ImageFailure, NotAnImage, TooManyPixels
from harness.images import gradient_image, html

POLICY = ImagePolicy(max_pixels=10_000)
BUDGET = 64 * 1024 * 1024
HANG_TIMEOUT_S = 30


@pytest.fixture
async def decoder() -> AsyncIterator[DecodePool]:
    decoder = DecodePool(POLICY, threads=2, budget_bytes=BUDGET)
    yield decoder
    assert decoder._budget.free == BUDGET
    assert not decoder._budget._waiting
    decoder.close()


@pytest.mark.parametrize(
    ("body", "failure"),
    [
        (html(), NotAnImage),
        (gradient_image("PNG")[:20], CorruptImage),
        (gradient_image("PNG", (200, 200)), TooManyPixels),
    ],
    ids=["html", "cut", "large"],
)
async def test_a_body_that_is_no_image_does_not_wait_for_memory(
    decoder: DecodePool, body: bytes, failure: type[ImageFailure]
) -> None:
    """Its structure is enough, which costs almost nothing."""
    async with decoder._budget.reserve(BUDGET), asyncio.timeout(HANG_TIMEOUT_S):
        with pytest.raises(failure):
            await decoder.inspect(body)


async def test_an_image_that_waited_for_memory_is_inspected_like_any_other(
    decoder: DecodePool,
) -> None:
    """Also if several wait."""
    bodies = [
        gradient_image("PNG", (8, 8)),
        gradient_image("JPEG", (80, 80)),
        gradient_image("GIF", (20, 20)),
    ]
    async with decoder._budget.reserve(BUDGET):
        waiting = [asyncio.create_task(decoder.inspect(body)) for body in bodies]
        await asyncio.sleep(0)
        assert not any(task.done() for task in waiting)
    assert await asyncio.gather(*waiting) == [inspect(body, POLICY) for body in bodies]


async def test_an_image_that_is_cancelled_while_it_waits_releases_everything(
    decoder: DecodePool,
) -> None:
    """A drain may cancel it."""
    async with decoder._budget.reserve(BUDGET):
        waiting = asyncio.create_task(decoder.inspect(gradient_image("PNG", (8, 8))))
        while not decoder._budget._waiting:  # noqa: ASYNC110  nothing announces it
            await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
