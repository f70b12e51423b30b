"""The memory charged for renditions: not too low, not much too high, and no reason to refuse an image."""

import sys
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import replace
from io import BytesIO
from math import isqrt
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from consumer.imaging.formats import Format
from consumer.imaging.limits import BYTES_PER_PIXEL, FIXED_BYTES, estimate_decode_bytes
from consumer.imaging.policy import ImagePolicy
from consumer.imaging.renditions import estimate_cost
from consumer.imaging.structure import ImageStructure
from consumer.settings import ConsumerSettings
from core.model.rendition import RenditionPreset
from harness.decode_memory import DecodeMemory
from harness.heic_files import heic

HIGHEST = 1.5
"""A charge is at most so many times the peak."""
SIZE, SMALL = (3_200, 2_400), (800, 600)
THUMBNAIL = RenditionPreset(256, 256, "contain", "WEBP", 80)
DISPLAY = RenditionPreset(2_048, 2_048, "contain", "WEBP", 80)
BODY_BYTES = 5_000_000
FRAME_MAX = 89_478_485
FAST: dict[str, Any] = {"compress_level": 1}
DEFLATE: dict[str, Any] = {"compression": "tiff_adobe_deflate"}
CASES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "jpeg, progressive": ("JPEG", "RGB", {"progressive": True}),
    "jpeg cmyk, progressive": ("JPEG", "CMYK", {"progressive": True}),
    "png gray": ("PNG", "L", FAST),
    "png gray with alpha": ("PNG", "LA", FAST),
    "png rgb": ("PNG", "RGB", FAST),
    "png transparent color": ("PNG", "RGB", {"transparency": (1, 2, 3), **FAST}),
    "png rgba": ("PNG", "RGBA", FAST),
    "png bilevel": ("PNG", "1", FAST),
    "png palette": ("PNG", "P", FAST),
    "png transparent palette": ("PNG", "P", {"transparency": bytes(range(256)), **FAST}),
    "png 16-bit": ("PNG", "I;16", FAST),
    "gif": ("GIF", "P", {}),
    "webp": ("WEBP", "RGB", {"method": 0}),
    "avif": ("AVIF", "RGB", {"speed": 10}),
    "avif with alpha": ("AVIF", "RGBA", {"speed": 10}),
    "tiff rgb": ("TIFF", "RGB", DEFLATE),
    "tiff rgba": ("TIFF", "RGBA", DEFLATE),
    "tiff cmyk": ("TIFF", "CMYK", DEFLATE),
    "tiff lab": ("TIFF", "LAB", DEFLATE),
    "tiff float": ("TIFF", "F", DEFLATE),
    "tiff 16-bit": ("TIFF", "I;16", DEFLATE),
    "bmp": ("BMP", "RGB", {}),
}


def gradient(mode: str) -> Image.Image:
    """An image that encodes fast."""
    gray = Image.linear_gradient("L").resize(SIZE)
    flipped = gray.transpose(Image.Transpose.FLIP_TOP_BOTTOM)
    match mode:
        case "LA":
            return Image.merge("LA", (gray, flipped))
        case "LAB":
            return Image.merge("LAB", (gray, flipped, gray))
        case "I;16":
            return gray.convert("I").convert("I;16")
        case "RGBA":
            return Image.merge("RGBA", (gray, flipped, gray, flipped))
        case _:
            return Image.merge("RGB", (gray, flipped, gray)).convert(mode)


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    out = BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


@pytest.fixture(scope="module")
def memory() -> Iterator[DecodeMemory]:
    with DecodeMemory() as process:
        yield process


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("name", [*CASES, "heic"])
def test_the_charge_of_a_thumbnail_is_near_the_measured_peak(
    memory: DecodeMemory, tmp_path: Path, name: str
) -> None:
    """Of each format and mode: the peak is that of decoding, or of the conversion in bands."""
    path = tmp_path / "image"
    if name == "heic":
        path.write_bytes(heic(grid=(10, 10)))
    else:
        kind, mode, options = CASES[name]
        path.write_bytes(encoded(gradient(mode), kind, **options))
    charge, peak = memory.measure(path, renditions={"thumbnail": THUMBNAIL})
    assert peak <= charge
    assert charge - FIXED_BYTES <= peak * HIGHEST


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "AVIF"])
def test_the_charge_of_a_large_rendition_is_near_the_measured_peak(
    memory: DecodeMemory, tmp_path: Path, kind: str, mode: str
) -> None:
    """Noise at the highest quality takes the most memory."""
    path = tmp_path / "image"
    noise = Image.merge(mode, [Image.effect_noise(SMALL, 120) for _ in mode])
    path.write_bytes(encoded(noise, "PNG", **FAST))
    preset = replace(DISPLAY, format=kind, quality=100)
    charge, peak = memory.measure(path, renditions={"display": preset})
    assert peak <= charge
    assert charge - FIXED_BYTES <= peak * HIGHEST


@pytest.mark.parametrize(
    ("image_format", "layout"),
    [(each, layout) for each, layouts in BYTES_PER_PIXEL.items() for layout in layouts],
)
def test_what_can_be_decoded_in_the_default_budget_gets_renditions(
    image_format: Format, layout: str
) -> None:
    """Of the largest image of each layout, with renditions of up to 2,048 pixels. AVIF takes the most memory."""
    display = replace(DISPLAY, format="AVIF")
    policy = ImagePolicy(presets={"display": display, "thumbnail": THUMBNAIL})
    budget = ConsumerSettings.model_fields["decode_budget_bytes"].default

    def charge(side: int) -> int:
        return estimate_decode_bytes(image_format, square(side, layout), BODY_BYTES, policy)

    side = bisect_right(range(isqrt(FRAME_MAX) + 1), budget, key=charge) - 1
    cost = estimate_cost(
        image_format, square(side, layout), BODY_BYTES, policy, ("display", "thumbnail")
    )
    assert charge(side) <= budget
    assert cost.memory_bytes <= budget


def square(side: int, layout: str) -> ImageStructure:
    pixels = side * side
    return ImageStructure(
        side, side, 1, pixels, pixels, BODY_BYTES, layout=layout, coded_bytes=BODY_BYTES
    )
