"""JPEG images of a given size, made from the sample images. The bytes are the same on every machine with one Pillow.

Small images are crops of one sample. Large images are composed of crops, because an enlarged photograph lacks the
detail of a real one. All are JPEG, because img2dataset encodes other formats even if it is told only to decode. As on
the web, one in eight is progressive, and one in four has EXIF with a camera and a capture time.
"""

import io
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import PIL
from PIL import Image

from loadtest.tool_cache import tool_cache

SAMPLES_FOLDER = Path(__file__).parents[3] / "tests" / "images"
_SAMPLES = (
    "palace-exif-location.jpg",
    "rocket-progressive.jpg",
    "flower-xmp-location.jpg",
    "coffee.webp",
    "portrait-rotated.jpg",
)
_TILE = (320, 240)
_PROGRESSIVE_EVERY = 8
_EXIF_EVERY = 4
_MAKE, _MODEL, _DATE_TIME = 0x010F, 0x0110, 0x0132
"""Tags of EXIF 2.32, section 4.6.4."""
_QUALITIES = range(30, 98)
_VERSION = 2
"""Increase it if the produced bytes change."""


@dataclass(frozen=True, slots=True)
class Kind:
    """Images of `tiles` x `tiles` crops of 320 x 240 pixels, at most `target` bytes each; `count` are distinct."""

    name: str
    target: int
    tiles: int
    count: int


SMALL = Kind("20 KB", 20_000, 1, 1_000)
LARGE = Kind("150 KB", 150_000, 3, 300)


def collection(kind: Kind) -> Path:
    """Return the folder with 0.jpg, 1.jpg, …, made on first use within about a minute."""
    name = f"{kind.target}-{kind.count}-v{_VERSION}-pillow{PIL.__version__}"
    folder = tool_cache() / "bench-images" / name
    if not folder.exists():
        partial = folder.with_name(f"{name}.partial")
        partial.mkdir(parents=True, exist_ok=True)
        samples = [_sample(SAMPLES_FOLDER / each) for each in _SAMPLES]
        for number in range(kind.count):
            (partial / f"{number}.jpg").write_bytes(image_body(kind, number, samples))
        partial.rename(folder)
    return folder


def _sample(path: Path) -> Image.Image:
    with Image.open(path) as image:
        return image.convert("RGB")


def image_body(kind: Kind, number: int, samples: Sequence[Image.Image]) -> bytes:
    """Return image `number`, encoded at the best quality that keeps it within the target size."""
    choice = random.Random(f"{kind.name} {number}")  # noqa: S311  an image, not a secret
    width, height = _TILE
    image = Image.new("RGB", (width * kind.tiles, height * kind.tiles))
    for row in range(kind.tiles):
        for column in range(kind.tiles):
            image.paste(_crop(choice, samples), (column * width, row * height))
    lowest, highest = _QUALITIES.start, _QUALITIES.stop
    while highest - lowest > 1:
        quality = (lowest + highest) // 2
        if len(_encoded(image, number, quality)) <= kind.target:
            lowest = quality
        else:
            highest = quality
    return _encoded(image, number, lowest)


def _crop(choice: random.Random, samples: Sequence[Image.Image]) -> Image.Image:
    sample = choice.choice(samples)
    width = choice.randint(min(280, sample.width), min(_TILE[0] + 80, sample.width))
    height = min(width * 3 // 4, sample.height)
    left = choice.randint(0, sample.width - width)
    top = choice.randint(0, sample.height - height)
    crop = sample.resize(
        _TILE, Image.Resampling.LANCZOS, box=(left, top, left + width, top + height)
    )
    return crop.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if choice.random() < 1 / 2 else crop


def _encoded(image: Image.Image, number: int, quality: int) -> bytes:
    exif = Image.Exif()
    if number % _EXIF_EVERY == 0:
        exif[_MAKE], exif[_MODEL] = "Imaginary", f"Camera {number % 7}"
        exif[_DATE_TIME] = f"2024:05:{number % 28 + 1:02} 12:00:00"
    body = io.BytesIO()
    progressive = number % _PROGRESSIVE_EVERY == 1
    # The comment makes all images distinct.
    comment = f"image {number}"
    image.save(body, "JPEG", quality=quality, progressive=progressive, exif=exif, comment=comment)
    return body.getvalue()
