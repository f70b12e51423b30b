"""The decode pool examines images in real decoder processes, as examining them in this process would."""

import asyncio
import struct
from collections.abc import AsyncIterator
from io import BytesIO

import pytest
from PIL import Image
from structlog.testing import capture_logs

from consumer.imaging.inspection import inspect, probe
from consumer.imaging.policy import ImagePolicy
from consumer.sandbox import decode_pool
from consumer.sandbox.decode_pool import DecodePool, open_decode_pool
from consumer.sandbox.protocol import CHEAP_BYTES
from core.errors import CorruptImage, ImageFailure, NotAnImage, TooManyPixels
from harness.images import IMAGES, gradient_image, html, sample

POLICY = ImagePolicy(max_pixels=5_000_000, verification="full")
BUDGET = 128 * 1024 * 1024
BODIES = {
    path.name: sample(path.name)
    for path in sorted(IMAGES.iterdir())
    if path.suffix not in {"", ".md"}
}


def large_png() -> bytes:
    """An image of few bytes that takes 20 MB once decoded."""
    out = BytesIO()
    Image.new("RGB", (2_400, 2_000)).save(out, "PNG")
    return out.getvalue()


@pytest.fixture
async def pool() -> AsyncIterator[DecodePool]:
    async with open_decode_pool(POLICY, decoders=2, budget_bytes=BUDGET, cpu_limit_s=20) as pool:
        yield pool
        assert pool._budget.free == BUDGET


async def test_decoders_find_what_this_process_finds(pool: DecodePool) -> None:
    """In every sample. All that decoding needs was loaded before the restrictions."""
    found = await asyncio.gather(*map(pool.inspect, BODIES.values()))
    expected = [inspect(body, POLICY) for body in BODIES.values()]
    assert dict(zip(BODIES, found, strict=True)) == dict(zip(BODIES, expected, strict=True))


async def test_cheap_and_expensive_images_are_inspected_alike(pool: DecodePool) -> None:
    """The size in memory decides how an image is admitted, not what is read from it."""
    large = large_png()
    assert probe(large, POLICY).decode_bytes > CHEAP_BYTES
    bodies = [large, gradient_image("PNG", (8, 8)), large, gradient_image("GIF", (20, 20))] * 5
    expected = [inspect(body, POLICY) for body in bodies]
    assert await asyncio.gather(*map(pool.inspect, bodies)) == expected


@pytest.mark.parametrize(
    ("body", "failure"),
    [
        (b"", NotAnImage),
        (html(), NotAnImage),
        (gradient_image("PNG")[:40], CorruptImage),
        (large_png()[:-20], CorruptImage),
        (gradient_image("PNG", (2_400, 2_400)), TooManyPixels),
    ],
    ids=["empty", "html", "cut", "large and cut", "many pixels"],
)
async def test_a_failure_is_the_decoders(
    pool: DecodePool, body: bytes, failure: type[ImageFailure]
) -> None:
    """Its class and its sentence are those of an inspection in this process."""
    with pytest.raises(failure) as here:
        inspect(body, POLICY)
    with pytest.raises(failure) as there:
        await pool.inspect(body)
    assert str(there.value) == str(here.value)


async def test_a_body_of_many_socket_buffers_arrives(pool: DecodePool) -> None:
    """20 MB are far more than a socket holds."""
    body = gradient_image("BMP", (2_000, 2_000)) + bytes(8_000_000)
    assert await pool.inspect(body) == inspect(body, POLICY)


async def test_a_warning_of_python_is_logged_for_each_image(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Pillow warns about a resolution unit with two values. It is a short value, so the other half is unused."""
    out = BytesIO()
    Image.new("RGB", (32, 32)).save(out, "TIFF", dpi=(72, 72))
    unit = struct.pack("<HHI", 296, 3, 1)
    body = out.getvalue().replace(unit, unit[:4] + struct.pack("<I", 2))
    assert body != out.getvalue()
    monkeypatch.setattr(decode_pool, "_WARNING_INTERVAL_S", 0)
    async with open_decode_pool(POLICY, decoders=1, budget_bytes=BUDGET, cpu_limit_s=20) as pool:
        with capture_logs() as logs:
            for number in range(3):
                await pool.inspect(body, f"request {number}")
    assert [log["request_id"] for log in logs] == ["request 0", "request 1", "request 2"]
    assert all("tag 296 had too many entries" in log["text"] for log in logs)


async def test_cheap_images_do_not_wait_for_memory(pool: DecodePool) -> None:
    """Only expensive ones use the budget."""
    async with pool._budget.reserve(BUDGET):
        waiting = asyncio.create_task(pool.inspect(large_png()))
        while not pool._budget._waiting:  # noqa: ASYNC110  nothing announces it
            await asyncio.sleep(0)
        assert (await pool.inspect(gradient_image("PNG", (8, 8)))).metadata.width == 8
        with pytest.raises(NotAnImage):
            await pool.inspect(html())
        assert not waiting.done()
    assert (await waiting).metadata.width == 2_400


async def test_an_image_above_the_budget_is_refused_before_decoding() -> None:
    """The limit is never clipped. The sentence names both figures."""
    large = large_png()
    budget = 2 * CHEAP_BYTES
    charge = probe(large, POLICY).decode_bytes
    assert charge > budget
    async with open_decode_pool(POLICY, decoders=1, budget_bytes=budget, cpu_limit_s=20) as pool:
        with pytest.raises(TooManyPixels, match=f"{charge:,} bytes, at most {budget:,}"):
            await pool.inspect(large)


async def test_a_cancelled_image_releases_its_decoder_and_its_memory(pool: DecodePool) -> None:
    """A drain may cancel it."""
    running = [asyncio.create_task(pool.inspect(large_png())) for _ in range(4)]
    while not pool._limits.watches:  # noqa: ASYNC110  nothing announces it
        await asyncio.sleep(0)
    for each in running:
        each.cancel()
    await asyncio.wait(running)
    assert (await pool.inspect(large_png())).metadata.width == 2_400
