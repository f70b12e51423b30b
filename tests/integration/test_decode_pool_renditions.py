"""Decoder processes make renditions within the memory that they are charged."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from functools import partial
from io import BytesIO
from typing import Any

import pytest
from PIL import Image

from consumer.imaging.inspection import inspect, probe
from consumer.imaging.policy import ImagePolicy
from consumer.imaging.result import FailedRendition, MadeRendition
from consumer.sandbox.decode_pool import DecodePool, open_decode_pool
from consumer.settings import ConsumerSettings
from core.errors import DecodeLimit, TooManyPixels
from core.model.rendition import RenditionPreset
from harness.heic_files import heic
from harness.images import IMAGES, gradient_image, sample
from harness.scripted_decoder import EXAMINER

LARGE = RenditionPreset(800, 800, "contain", "WEBP", 90)
PRESETS = {
    "webp": LARGE,
    "avif": replace(LARGE, width=200, height=200, format="AVIF"),
    "thumbnail": replace(LARGE, width=100, height=100),
}
NAMES = tuple(PRESETS)
POLICY = ImagePolicy(presets=PRESETS)
SAMPLES = [sample(path.name) for path in sorted(IMAGES.iterdir()) if path.suffix not in {"", ".md"}]
BUDGET = 256 * 1024 * 1024
MODES = {
    "JPEG": ("RGB", "L", "CMYK"),
    "PNG": ("RGB", "RGBA", "L", "LA", "P", "1", "I;16"),
    "WEBP": ("RGB", "RGBA"),
    "AVIF": ("RGB", "RGBA"),
    "TIFF": ("RGB", "RGBA", "L", "CMYK", "I;16", "F", "LAB"),
    "GIF": ("P",),
    "BMP": ("RGB", "P"),
}
KINDS = [(kind, mode) for kind, modes in MODES.items() for mode in modes]


@pytest.fixture
async def pool() -> AsyncIterator[DecodePool]:
    async with open_decode_pool(POLICY, decoders=2, budget_bytes=BUDGET, cpu_limit_s=60) as pool:
        yield pool
        assert pool._budget.free == BUDGET


def noise(kind: str, mode: str) -> bytes:
    """Return an image that is hard to compress."""
    size = (1_100, 900)
    gray = Image.effect_noise(size, 120)
    match mode:
        case "I;16":
            wide = bytearray(2 * size[0] * size[1])
            wide[0::2] = wide[1::2] = gray.tobytes()
            image = Image.frombytes("I;16", size, bytes(wide))
        case "F":
            image = gray.convert("F")
        case "LAB":
            image = Image.merge("LAB", (gray, gray, gray))
        case "P":
            image = gray.convert("P")
        case _:
            image = gray.convert("RGB").convert(mode)
    if mode in {"RGBA", "LA"}:
        image.putalpha(gray)
    out = BytesIO()
    image.save(out, kind)
    return out.getvalue()


@pytest.mark.parametrize(("kind", "mode"), KINDS)
async def test_every_mode_is_charged_enough(pool: DecodePool, kind: str, mode: str) -> None:
    """A rendition fails if its decoder exceeds the charge."""
    body = noise(kind, mode)
    result = await pool.inspect(body, "", NAMES)
    assert [each.preset for each in result.renditions] == list(NAMES)
    assert all(isinstance(each, MadeRendition) for each in result.renditions), result.renditions


def flat(kind: str, mode: str, **options: Any) -> bytes:
    """Return an image of 48 megapixels that encodes fast."""
    out = BytesIO()
    Image.new(mode, (8_064, 6_048)).save(out, kind, **options)
    return out.getvalue()


FAST: dict[str, Any] = {"compress_level": 1}
DEFLATE: dict[str, Any] = {"compression": "tiff_adobe_deflate"}
IMAGES_OF_48_MEGAPIXELS: dict[str, Callable[[], bytes]] = {
    "jpeg cmyk, progressive": partial(flat, "JPEG", "CMYK", progressive=True),
    "png rgba": partial(flat, "PNG", "RGBA", **FAST),
    "png transparent palette": partial(flat, "PNG", "P", transparency=3, **FAST),
    "png 16-bit": partial(flat, "PNG", "I;16", **FAST),
    "gif": partial(flat, "GIF", "P"),
    "webp with alpha": partial(flat, "WEBP", "RGBA", lossless=True, quality=0, method=0),
    "avif": partial(flat, "AVIF", "RGB", speed=10),
    "heic": partial(heic, grid=(21, 22)),
    "tiff rgba": partial(flat, "TIFF", "RGBA", **DEFLATE),
    "tiff float": partial(flat, "TIFF", "F", **DEFLATE),
    "bmp": partial(flat, "BMP", "1"),
}


@pytest.mark.parametrize("name", IMAGES_OF_48_MEGAPIXELS)
async def test_an_image_of_48_megapixels_gets_its_renditions_in_the_default_budget(
    name: str,
) -> None:
    body = await asyncio.to_thread(IMAGES_OF_48_MEGAPIXELS[name])
    presets = {
        "display": RenditionPreset(2_048, 2_048, "contain", "WEBP", 80),
        "thumbnail": RenditionPreset(256, 256, "contain", "WEBP", 80),
    }
    budget = ConsumerSettings.model_fields["decode_budget_bytes"].default
    async with open_decode_pool(
        ImagePolicy(presets=presets), decoders=2, budget_bytes=budget, cpu_limit_s=60
    ) as pool:
        result = await pool.inspect(body, "", tuple(presets))
    assert result.metadata.width * result.metadata.height > 48_000_000
    for made, side in zip(result.renditions, (2_048, 256), strict=True):
        assert isinstance(made, MadeRendition), made
        assert made.width == side


async def test_a_decoder_makes_the_renditions_that_this_process_makes(pool: DecodePool) -> None:
    """Of every sample: all that the encoders need was loaded before the restrictions."""
    for body in SAMPLES:
        assert await pool.inspect(body, "", NAMES) == inspect(body, POLICY, NAMES)


async def test_renditions_that_exceed_the_budget_fail_and_the_image_does_not() -> None:
    body = gradient_image("PNG", (1_500, 1_500))
    presets = {"huge": replace(LARGE, width=4_000, height=4_000, format="AVIF")}
    policy = ImagePolicy(presets=presets)
    budget = 64 * 1024 * 1024
    assert probe(body, policy).decode_bytes < budget < probe(body, policy, ("huge",)).decode_bytes
    async with open_decode_pool(policy, decoders=1, budget_bytes=budget, cpu_limit_s=60) as pool:
        result = await pool.inspect(body, "", ("huge",))
    (failed,) = result.renditions
    assert isinstance(failed, FailedRendition)
    assert failed.code == TooManyPixels.code
    assert replace(result, renditions=()) == inspect(body, policy)


async def test_renditions_have_half_of_the_cpu_limit_and_the_image_all_of_it() -> None:
    policy = ImagePolicy(presets={"one": LARGE})
    async with open_decode_pool(
        policy, decoders=1, budget_bytes=BUDGET, cpu_limit_s=2, examiner=EXAMINER
    ) as pool:
        result = await pool.inspect(b"cpu 1.5", "", ("one",))
    (failed,) = result.renditions
    assert isinstance(failed, FailedRendition)
    assert failed.code == DecodeLimit.code
