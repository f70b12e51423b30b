"""Counts how many damaged photographs each decoder refuses, and how many undamaged ones (ADR 14).

PYTHONPATH=.:tests python docs/adr/measurements/jpeg_damage.py
"""

import random
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from io import BytesIO

import numpy as np
import simplejpeg
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

from consumer.imaging.inspection import inspect
from consumer.imaging.policy import ImagePolicy
from core.errors import CorruptImage
from harness.images import sample

PHOTOGRAPHS = 100
LEAST_BYTES = 6_000
SAMPLES = (
    "palace-exif-location.jpg",
    "rocket-progressive.jpg",
    "flower-xmp-location.jpg",
    "coffee.webp",
    "portrait-rotated.jpg",
)
SOURCES = [Image.open(BytesIO(sample(name))).convert("RGB") for name in SAMPLES]
CHOICE = random.Random(5)  # noqa: S311 - images, not secrets
ENCODINGS = ("sequential", "optimized", "progressive", "gray", "cmyk", "restarts", "simplejpeg")
SUBSAMPLINGS = ("444", "422", "420", "440", "411")


def photograph(encoding: str) -> bytes:
    body = b""
    while len(body) < LEAST_BYTES:
        source = CHOICE.choice(SOURCES)
        width, height = CHOICE.randint(200, source.width), CHOICE.randint(150, source.height)
        left, top = (
            CHOICE.randint(0, source.width - width),
            CHOICE.randint(0, source.height - height),
        )
        crop = source.crop((left, top, left + width, top + height))
        body = encoded(crop.resize((CHOICE.randint(300, 1200), CHOICE.randint(300, 900))), encoding)
    return body


def encoded(image: Image.Image, encoding: str) -> bytes:
    quality = CHOICE.choice((50, 65, 75, 85, 92, 95))
    if encoding == "simplejpeg":
        pixels = np.ascontiguousarray(image)
        return simplejpeg.encode_jpeg(pixels, quality, "RGB", CHOICE.choice(SUBSAMPLINGS))
    mode = {"gray": "L", "cmyk": "CMYK"}.get(encoding, "RGB")
    out = BytesIO()
    image.convert(mode).save(
        out,
        "JPEG",
        quality=quality,
        progressive=encoding == "progressive",
        optimize=encoding == "optimized",
        restart_marker_blocks=CHOICE.choice((2, 7, 60)) if encoding == "restarts" else 0,
        subsampling=CHOICE.choice((0, 1, 2)) if mode == "RGB" else -1,
    )
    return out.getvalue()


def position(body: bytes, margin: int) -> int:
    """Return an offset inside a scan, `margin` bytes or more before the end."""
    first = body.index(b"\xff\xda") + 14
    return CHOICE.randint(first, max(first + 1, len(body) - margin))


def cut(body: bytes) -> bytes:
    return body[: position(body, 200)] + b"\xff\xd9"


def zeroed(body: bytes) -> bytes:
    at = position(body, 1_100)
    return body[:at] + bytes(1_000) + body[at + 1_000 :]


def missing(body: bytes) -> bytes:
    at = position(body, 800)
    return body[:at] + body[at + 700 :]


def undamaged(body: bytes) -> bytes:
    return body


def refused_by_pillow(body: bytes) -> bool:
    with suppress(OSError):
        JpegImageFile(BytesIO(body)).load()
        return False
    return True


def refused_by_us(body: bytes) -> bool:
    with suppress(CorruptImage):
        inspect(body, ImagePolicy())
        return False
    return True


DECODERS: dict[str, Callable[[bytes], bool]] = {"Pillow": refused_by_pillow, "ours": refused_by_us}


def main() -> None:
    for encoding in ENCODINGS:
        refused = Counter[str]()
        for _ in range(PHOTOGRAPHS):
            body = photograph(encoding)
            for damage in (undamaged, cut, zeroed, missing):
                damaged = damage(body)
                for name, refuses in DECODERS.items():
                    refused[f"{damage.__name__} {name}"] += refuses(damaged)
        print(f"{encoding:12}{PHOTOGRAPHS}", dict(refused))  # noqa: T201


if __name__ == "__main__":
    main()
