"""The memory charged for an image, compared with the peak that a process measures while it examines the image."""

import sys
import zlib
from collections.abc import Callable, Iterator
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from consumer.imaging.formats import AVIF, HEIC
from consumer.imaging.inspection import probe
from consumer.imaging.limits import BYTES_PER_PIXEL, FIXED_BYTES
from consumer.imaging.policy import ImagePolicy, Verification
from harness.decode_memory import DecodeMemory
from harness.heic_files import heic, rotation
from harness.images import IMAGES, png_chunk, tiff_directory

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

SMALL, SIZE, LARGE = (1_200, 900), (2_400, 1_800), (4_000, 3_000)
HIGHEST = 1.5
"""A charge is at most so many times the peak."""
ONE_STRIP = 1 << 30


@cache
def gradient(mode: str, size: tuple[int, int] = SIZE) -> Image.Image:
    """An image that encodes fast."""
    gray = Image.linear_gradient("L").resize(size)
    flipped = gray.transpose(Image.Transpose.FLIP_TOP_BOTTOM)
    if mode == "RGBA":
        return Image.merge("RGBA", (gray, flipped, gray, flipped))
    if mode == "LA":
        return Image.merge("LA", (gray, flipped))
    if mode == "I;16":
        return gray.convert("I").convert("I;16")
    return Image.merge("RGB", (gray, flipped, gray)).convert(mode)


def encoded(kind: str, mode: str, *, size: tuple[int, int] = SIZE, **options: Any) -> bytes:
    out = BytesIO()
    gradient(mode, size).save(out, kind, **options)
    return out.getvalue()


def animated(
    kind: str, mode: str, frames: int = 2, *, size: tuple[int, int] = SIZE, **options: Any
) -> bytes:
    first = gradient(mode, size)
    turned = [first.transpose(Image.Transpose.ROTATE_180), first] * frames
    out = BytesIO()
    first.save(out, kind, save_all=True, append_images=turned[: frames - 1], **options)
    return out.getvalue()


def progressive_tiff(mode: str) -> bytes:
    """Return a TIFF of one strip, a JPEG with 4:4:4. Pillow writes no progressive ones."""
    strip = encoded("JPEG", mode, progressive=True, subsampling=0)
    samples, photometric = (1, 1) if mode == "L" else (3, 6)
    tags = {256: SIZE[0], 257: SIZE[1], 258: 8, 259: 7, 262: photometric, 273: 0, 277: samples}
    tags |= {278: SIZE[1], 279: len(strip), 530: 1 | 1 << 16}
    start = len(tiff_directory(*((tag, 1, 0) for tag in tags)))
    tags[273] = start
    # The subsampling is two numbers of 16 bits.
    head = tiff_directory(*((tag, 1, value) for tag, value in tags.items()))
    return head.replace(b"\x12\x02\4\0\1\0", b"\x12\x02\3\0\2\0") + strip


def png(color_type: int, depth: int, *, interlaced: bool = False) -> bytes:
    """A PNG of a kind that Pillow does not write."""
    samples = {0: 1, 2: 3, 4: 2, 6: 4}[color_type]
    passes = (
        (0, 0, 8, 8),
        (4, 0, 8, 8),
        (0, 4, 4, 8),
        (2, 0, 4, 4),
        (0, 2, 2, 4),
        (1, 0, 2, 2),
        (0, 1, 1, 2),
    )
    packer, data = zlib.compressobj(1), b""
    for left, top, right, down in passes if interlaced else ((0, 0, 1, 1),):
        row = bytes(1 + -(-(SIZE[0] - left) // right) * samples * depth // 8)
        data += packer.compress(row * -(-(SIZE[1] - top) // down))
    header = b"".join(side.to_bytes(4, "big") for side in SIZE)
    header += bytes((depth, color_type, 0, 0, interlaced))
    chunks = ((b"IHDR", header), (b"IDAT", data + packer.flush()), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(*chunk) for chunk in chunks)


def large(name: str) -> bytes:
    """A file of tests/images/large, which Pillow cannot write."""
    return (IMAGES / "large" / name).read_bytes()


WIDE = "several samples, or 32 bits"
FAST: dict[str, Any] = {"compress_level": 1}
DEFLATE: dict[str, Any] = {"compression": "tiff_adobe_deflate"}
LOSSLESS: dict[str, Any] = {"lossless": True, "quality": 0, "method": 0}
CASES: dict[str, tuple[str, Callable[[], bytes]]] = {
    "jpeg gray": ("L", lambda: encoded("JPEG", "L")),
    "jpeg 4:2:0": ("RGB", lambda: encoded("JPEG", "RGB")),
    "jpeg cmyk": ("CMYK", lambda: encoded("JPEG", "CMYK")),
    "progressive gray": ("L", lambda: encoded("JPEG", "L", progressive=True)),
    "progressive 4:2:0": ("RGB", lambda: encoded("JPEG", "RGB", progressive=True)),
    "progressive 4:4:4": ("RGB", lambda: encoded("JPEG", "RGB", progressive=True, subsampling=0)),
    "progressive cmyk": ("CMYK", lambda: encoded("JPEG", "CMYK", progressive=True)),
    "png bilevel": ("gray", lambda: encoded("PNG", "1", **FAST)),
    "png gray": ("gray", lambda: encoded("PNG", "L", **FAST)),
    "png gray with alpha": ("gray with alpha", lambda: encoded("PNG", "LA", **FAST)),
    "png rgb": ("RGB", lambda: encoded("PNG", "RGB", **FAST)),
    "png rgba": ("RGB with alpha", lambda: encoded("PNG", "RGBA", **FAST)),
    "png palette": ("palette", lambda: encoded("PNG", "P", transparency=bytes(range(256)), **FAST)),
    "png transparent color": ("RGB", lambda: encoded("PNG", "RGB", transparency=(1, 2, 3), **FAST)),
    "png 16-bit gray": ("gray, 16 bits", lambda: encoded("PNG", "I;16", **FAST)),
    "png 16-bit gray with alpha": ("RGB with alpha", lambda: png(4, 16)),
    "png 16-bit rgb": ("RGB", lambda: png(2, 16)),
    "png 16-bit rgba": ("RGB with alpha", lambda: png(6, 16)),
    "png interlaced": ("RGB with alpha", lambda: png(6, 8, interlaced=True)),
    "apng gray": ("gray", lambda: animated("PNG", "L", **FAST)),
    "apng gray with alpha": ("gray with alpha", lambda: animated("PNG", "LA", **FAST)),
    "apng palette": ("palette", lambda: animated("PNG", "P", **FAST)),
    "apng rgb": ("RGB", lambda: animated("PNG", "RGB", disposal=1, **FAST)),
    "apng rgba": ("RGB with alpha", lambda: animated("PNG", "RGBA", 3, disposal=1, blend=1, **FAST)),
    "apng rgba, previous": ("RGB with alpha", lambda: animated("PNG", "RGBA", 3, disposal=2, blend=1, **FAST)),
    "gif": ("palette", lambda: encoded("GIF", "P")),
    "gif transparent": ("palette", lambda: encoded("GIF", "P", transparency=3)),
    "gif animated": ("palette", lambda: animated("GIF", "P", 3)),
    "gif background": ("palette, with disposal", lambda: animated("GIF", "P", 3, disposal=2, transparency=3)),
    "gif previous": ("palette, with disposal", lambda: animated("GIF", "P", 3, disposal=3, transparency=3)),
    "webp lossy": ("lossy or lossless", lambda: encoded("WEBP", "RGB", method=0)),
    "webp lossy with alpha": ("lossy with alpha", lambda: encoded("WEBP", "RGBA", method=0)),
    "webp lossy with packed alpha": (
        "lossy with alpha",
        lambda: encoded("WEBP", "RGBA", method=2),
    ),
    "webp lossless": ("lossy or lossless", lambda: encoded("WEBP", "RGB", **LOSSLESS)),
    "webp lossless with alpha": ("lossy or lossless", lambda: encoded("WEBP", "RGBA", **LOSSLESS)),
    "webp animated": ("lossy with alpha", lambda: animated("WEBP", "RGBA", method=0, size=SMALL)),
    "avif 4:0:0": ("4:0:0, 8 bits", lambda: encoded("AVIF", "L", speed=10, size=LARGE)),
    "avif 4:2:0": ("4:2:0, 8 bits", lambda: encoded("AVIF", "RGB", speed=10)),
    "avif 4:4:4": ("4:4:4, 8 bits", lambda: encoded("AVIF", "RGB", speed=10, subsampling="4:4:4")),
    "avif 4:2:0 with alpha": ("4:2:0, 8 bits, alpha", lambda: encoded("AVIF", "RGBA", speed=10)),
    "avif 4:4:4 with alpha": ("4:4:4, 8 bits, alpha", lambda: encoded("AVIF", "RGBA", speed=10, subsampling="4:4:4")),
    "avif 10-bit 4:2:0 with alpha": ("4:2:0, 10 or 12 bits, alpha", lambda: large("ten-bit-420-alpha.avif")),
    "avif 10-bit 4:4:4 with alpha": ("4:4:4, 10 or 12 bits, alpha", lambda: large("ten-bit-444-alpha.avif")),
    "avif grid": ("4:2:0, 8 bits", lambda: large("grid.avif")),
    "avif sequence": ("4:2:0, 8 bits", lambda: animated("AVIF", "RGB", 2, speed=10, size=SMALL)),
    "avif sequence of many frames": ("4:2:0, 8 bits", lambda: animated("AVIF", "RGB", 11, speed=10, size=SMALL)),
    "avif sequence with alpha": ("4:2:0, 8 bits, alpha", lambda: animated("AVIF", "RGBA", 2, speed=10, size=SMALL)),
    "heic gray": ("4:0:0, 8 bits", lambda: large("gray.heic")),
    "heic with alpha": ("4:2:0, 8 bits, alpha", lambda: large("alpha.heic")),
    "heic 10-bit": ("4:2:2, 10 or 12 bits", lambda: large("ten-bit-422.heic")),
    "heic 10-bit with alpha": ("4:4:4, 10 or 12 bits, alpha", lambda: large("ten-bit-444-alpha.heic")),
    "heic grid": ("4:2:0, 8 bits", lambda: heic(grid=(10, 10))),
    "heic turned": ("4:2:0, 8 bits", lambda: heic(grid=(10, 10), transformations=[rotation(1)])),
    "tiff gray": ("gray or palette", lambda: encoded("TIFF", "L", **DEFLATE)),
    "tiff bilevel": ("gray or palette", lambda: encoded("TIFF", "1", compression="group4", strip_size=ONE_STRIP)),
    "tiff palette": ("gray or palette", lambda: encoded("TIFF", "P", **DEFLATE)),
    "tiff 16-bit": ("gray, 16 bits", lambda: encoded("TIFF", "I;16", **DEFLATE)),
    "tiff float": (WIDE, lambda: encoded("TIFF", "F", **DEFLATE)),
    "tiff rgb": (WIDE, lambda: encoded("TIFF", "RGB", **DEFLATE)),
    "tiff rgb in one strip": (WIDE, lambda: encoded("TIFF", "RGB", strip_size=ONE_STRIP, **DEFLATE)),
    "tiff rgb uncompressed": (WIDE, lambda: encoded("TIFF", "RGB")),
    "tiff rgba": (WIDE, lambda: encoded("TIFF", "RGBA", **DEFLATE)),
    "tiff rgba in one strip": (WIDE, lambda: encoded("TIFF", "RGBA", strip_size=ONE_STRIP, **DEFLATE)),
    "tiff gray with alpha": (WIDE, lambda: encoded("TIFF", "LA", **DEFLATE)),
    "tiff cmyk": (WIDE, lambda: encoded("TIFF", "CMYK", **DEFLATE)),
    "tiff jpeg": (WIDE, lambda: encoded("TIFF", "RGB", compression="jpeg", strip_size=ONE_STRIP)),
    "tiff progressive jpeg": (WIDE, lambda: progressive_tiff("RGB")),
    "tiff progressive gray jpeg": ("gray or palette", lambda: progressive_tiff("L")),
    "tiff turned": (WIDE, lambda: encoded("TIFF", "RGB", tiffinfo={274: 6}, **DEFLATE)),
    "bmp": ("RGB", lambda: encoded("BMP", "RGB")),
    "bmp with alpha": ("RGB", lambda: encoded("BMP", "RGBA")),
    "bmp gray": ("palette", lambda: encoded("BMP", "L")),
    "bmp bilevel": ("palette", lambda: encoded("BMP", "1")),
}  # fmt: skip

DRAFTS_OF_ONE_SCAN = {"jpeg gray", "jpeg 4:2:0", "jpeg cmyk"}
"""Their pixels take less than the copies of the body."""


@pytest.fixture(scope="module")
def memory() -> Iterator[DecodeMemory]:
    with DecodeMemory() as process:
        yield process


@pytest.mark.parametrize("name", CASES)
def test_the_charge_covers_the_measured_peak_and_is_not_much_above_it(
    memory: DecodeMemory, tmp_path: Path, name: str
) -> None:
    """The peak of each format and mode is at most the charge, and at least two thirds of it without its fixed part."""
    layout, make = CASES[name]
    body, path = make(), tmp_path / "image"
    path.write_bytes(body)
    assert probe(body, ImagePolicy()).structure.layout == layout
    modes: list[Verification] = ["draft", "full"] if body[:2] == b"\xff\xd8" else ["draft"]
    for verification in modes:
        charge, peak = memory.measure(path, verification)
        assert peak <= charge
        if verification == "full" or name not in DRAFTS_OF_ONE_SCAN:
            assert charge - FIXED_BYTES <= peak * HIGHEST


def test_every_layout_has_a_case() -> None:
    """The cases cover the table. AVIF and HEIC have many layouts of the same kind, of which some cases are enough."""
    covered = {layout for layout, _ in CASES.values()}
    for image_format, layouts in BYTES_PER_PIXEL.items():
        assert image_format in (AVIF, HEIC) or layouts.keys() <= covered
