"""Hash and colour of an image of any pixel format. The colour is one that occurs in the image."""

import struct
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from consumer.imaging.fingerprint import dominant_color, fingerprint
from consumer.imaging.inspection import inspect
from consumer.imaging.policy import ImagePolicy
from harness.images import png_chunk, sample

POLICY = ImagePolicy()


@pytest.mark.parametrize(
    ("mode", "fill", "expected"),
    [
        ("RGB", (255, 0, 0), "#ff0000"),
        ("L", 128, "#808080"),
        ("1", 1, "#ffffff"),
        ("P", 0, "#000000"),
        ("RGBA", (0, 0, 255, 0), "#ffffff"),
        ("RGBA", (0, 0, 255, 255), "#0000ff"),
        ("RGBA", (0, 0, 255, 128), "#7f7fff"),
        ("RGBa", (0, 0, 255, 255), "#0000ff"),
        ("RGBX", (1, 2, 3, 4), "#010203"),
        ("LA", (0, 255), "#000000"),
        ("La", (40, 255), "#282828"),
        ("PA", (0, 255), "#000000"),
        ("CMYK", (0, 255, 255, 0), "#ff0000"),
        ("YCbCr", (76, 85, 255), "#fe0000"),
        ("HSV", (0, 255, 255), "#ff0000"),
        ("LAB", (255, 128, 128), "#fefffe"),
        ("LAB", (138, 209, 198), "#fb0504"),
        ("I;16", 5, "#000000"),
        ("I;16", 30_000, "#757575"),
        ("I;16L", 30_000, "#757575"),
        ("I;16B", 40_000, "#9c9c9c"),
        ("I;16N", 65_535, "#ffffff"),
        ("I", 30_000, "#757575"),
        ("I", -5, "#000000"),
        ("I", 2_147_483_647, "#ffffff"),
        ("F", 0.5, "#808080"),
        ("F", 128.0, "#808080"),
        ("F", 30_000.0, "#757575"),
        ("F", 1e9, "#ffffff"),
        ("F", -1.0, "#000000"),
        ("F", float("nan"), "#000000"),
        ("F", float("inf"), "#000000"),
    ],
)
def test_the_colour_of_a_plain_image_is_its_colour(
    mode: str, fill: float | tuple[int, ...], expected: str
) -> None:
    """Transparent pixels count as white. Wide modes have a fixed range, so that equal values are equal grays."""
    digits, color = fingerprint(Image.new(mode, (200, 150), fill))
    assert color == expected
    assert digits == "0" * 16


@pytest.mark.parametrize("mode", Image.MODES)
@pytest.mark.parametrize("size", [(1, 1), (1, 700), (300, 2), (640, 480)])
def test_every_mode_of_pillow_has_a_fingerprint(mode: str, size: tuple[int, int]) -> None:
    """In every size. A warning would say why there is none, and fails this test."""
    digits, color = fingerprint(Image.new(mode, size), 6)
    assert len(digits) == 16
    assert len(color) == 7


def test_an_image_that_cannot_be_converted_has_no_fingerprint() -> None:
    """That says nothing about damage. A warning has the reason."""
    image = Image.new("P", (8, 8))
    image.close()
    with pytest.warns(UserWarning, match="no fingerprint of mode P: ValueError"):
        assert fingerprint(image) == ("", "")


def mixture(
    mode: str, size: tuple[int, int], *shares: tuple[float, int | tuple[int, ...]]
) -> Image.Image:
    """Return an image whose pixels have each colour with a probability, in no order."""
    chosen = np.random.default_rng(7).choice(
        len(shares), size[0] * size[1], p=[p for p, _ in shares]
    )
    image = Image.new(mode, size)
    image.putdata([shares[index][1] for index in chosen])
    return image


@pytest.mark.parametrize("size", [(127, 64), (1_000, 800)])
@pytest.mark.parametrize(
    ("mode", "dark", "light"),
    [("1", 0, 255), ("L", 0, 255), ("RGB", (0, 0, 0), (255, 255, 255)), ("P", 1, 2)],
)
def test_a_scan_of_two_colours_has_the_more_frequent_one(
    mode: str, dark: int | tuple[int, ...], light: int | tuple[int, ...], size: tuple[int, int]
) -> None:
    """Not the gray between them, which occurs nowhere in the image."""
    image = mixture(mode, size, (0.7, dark), (0.3, light))
    if mode == "P":
        image.putpalette([9, 9, 9, 0, 0, 0, 255, 255, 255])
    assert dominant_color(image) == "#000000"


@pytest.mark.parametrize("period", [2, 3, 4, 8, 16])
@pytest.mark.parametrize("mode", ["L", "RGB", "LA"])
def test_a_regular_pattern_does_not_hide_the_more_frequent_colour(period: int, mode: str) -> None:
    """An ordered dither, of which only samples are looked at."""
    x, y = np.meshgrid(np.arange(960), np.arange(720))
    is_light = (x % period + period * (y % period)) < 0.2 * period * period
    image = Image.fromarray(np.where(is_light, 250, 10).astype(np.uint8)).convert(mode)
    assert dominant_color(image) == "#0a0a0a"


def test_the_colour_of_an_image_with_a_palette_is_in_the_palette() -> None:
    """All pixels count, also if the palette has near-duplicates."""
    image = mixture("P", (300, 200), (0.3, 0), (0.3, 1), (0.4, 2))
    image.putpalette([10, 10, 10, 20, 20, 20, 250, 0, 0])
    assert dominant_color(image) in ("#0a0a0a", "#141414")


def test_a_transparent_colour_of_a_palette_counts_as_white() -> None:
    """As it is displayed."""
    image = mixture("P", (90, 90), (0.6, 0), (0.4, 1))
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.info["transparency"] = 0
    assert dominant_color(image) == "#ffffff"


@pytest.mark.parametrize("name", ["astronaut.png", "astronaut.bmp", "coffee.webp", "flower.tiff"])
def test_the_colour_of_a_photograph_occurs_in_it(name: str) -> None:
    """Near the mean of the fullest cell of colours."""
    with Image.open(BytesIO(sample(name))) as image:
        pixels = set(image.convert("RGB").get_flattened_data())
    color = bytes.fromhex(inspect(sample(name), POLICY).metadata.dominant_color[1:])
    assert tuple(color) in pixels


def test_frequent_colour_or_mean() -> None:
    """The most frequent colour of a gradient is chance, so one near its middle represents it."""
    gradient = Image.fromarray(np.tile(np.arange(64, 96, dtype=np.uint8), (64, 4))).convert("RGB")
    assert dominant_color(gradient) in ("#4f4f4f", "#505050")
    with_area = gradient.copy()
    with_area.paste((65, 65, 65), (0, 0, 64, 64))
    assert dominant_color(with_area) == "#414141"


@pytest.mark.parametrize(("value", "expected"), [(30_000, "#757575"), (40_000, "#9c9c9c")])
@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_gray_of_16_bits_has_a_fixed_range(kind: str, value: int, expected: str) -> None:
    """It is not stretched to the values that occur."""
    out = BytesIO()
    Image.new("I;16", (64, 64), value).save(out, kind)
    assert inspect(out.getvalue(), POLICY).metadata.dominant_color == expected


def test_a_16_bit_png_with_a_transparent_value_is_inspected() -> None:
    """Pillow reads the transparent value, but cannot convert it."""
    out = BytesIO()
    Image.new("I;16", (64, 64), 30_000).save(out, "PNG")
    body = out.getvalue()
    at = body.index(b"IDAT") - 4
    transparent = body[:at] + png_chunk(b"tRNS", struct.pack(">H", 5)) + body[at:]
    assert inspect(transparent, POLICY).metadata.dominant_color == "#757575"
