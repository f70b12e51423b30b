"""Counts how much damage each format lets pass, for docs/reference.md ("What is not detected").

PYTHONPATH=. python docs/adr/measurements/undetected_damage.py
"""

import random
import warnings
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

from consumer.imaging.inspection import inspect
from consumer.imaging.policy import ImagePolicy
from core.errors import ImageFailure

IMAGES = Path(__file__).parents[3] / "tests" / "images"
TRIALS, ZEROED = 100, 500
POLICY = ImagePolicy(verification="full")


def samples() -> Iterator[tuple[str, bytes]]:
    """Yield the same photograph in each format and coding."""
    with Image.open(IMAGES / "astronaut.png") as image:
        photograph = image.convert("RGB").resize((300, 300))
    bilevel = photograph.convert("1")
    yield "JPEG", _encode(photograph, "JPEG", quality=90)
    yield "PNG", _encode(photograph, "PNG")
    yield "GIF", _encode(photograph, "GIF")
    yield "WebP, lossy", _encode(photograph, "WEBP")
    yield "WebP, lossless", _encode(photograph, "WEBP", lossless=True)
    yield "AVIF", _encode(photograph, "AVIF")
    yield "HEIC", (IMAGES / "cat.heic").read_bytes()
    for compression in ("jpeg", "tiff_adobe_deflate", "tiff_lzw", "packbits", "raw"):
        yield f"TIFF, {compression}", _encode(photograph, "TIFF", compression=compression)
    for compression in ("group3", "group4"):
        yield f"TIFF, {compression}", _encode(bilevel, "TIFF", compression=compression)
    yield "BMP", _encode(photograph, "BMP")


def _encode(image: Image.Image, name: str, **options: Any) -> bytes:
    out = BytesIO()
    image.save(out, name, **options)
    return out.getvalue()


def count_refused(body: bytes) -> int:
    """Zero bytes at random places in the middle half of the file, and count the images that are refused."""
    places, refused = random.Random(1), 0  # noqa: S311 - no secret
    for _ in range(TRIALS):
        at = places.randrange(len(body) // 4, len(body) * 3 // 4)
        size = min(ZEROED, len(body) - at)
        try:
            inspect(body[:at] + bytes(size) + body[at + size :], POLICY)
        except ImageFailure:
            refused += 1
    return refused


def main() -> None:
    warnings.simplefilter("ignore")
    for name, body in samples():
        line = f"{name:28} {len(body):8,} bytes: {count_refused(body):3} of {TRIALS} refused"
        print(line)  # noqa: T201 - output of a script


if __name__ == "__main__":
    main()
