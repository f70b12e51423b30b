"""The worst files, and images of 48 megapixels in every format. They are made once, and kept outside of the clone."""

import hashlib
import os
from collections.abc import Callable, Mapping
from functools import partial
from io import BytesIO

import PIL
from PIL import Image

from cluster.bombs import worst_animations as animations
from cluster.bombs import worst_iso as iso
from cluster.bombs import worst_jpeg as jpeg
from cluster.bombs import worst_png as png
from cluster.bombs import worst_tiff as tiff
from loadtest.tool_cache import tool_cache

_LARGEST = (9_400, 9_500)
"""Just below the 89,478,485 pixels of one frame."""
_VERSION = 2
"""Increase it if the produced bytes change."""
_FRAMES = 1_000
_SIDE = 316
"""Of a frame, so that 1,000 have just below MAX_PIXELS."""
_BODY_BYTES = 20 * 1024 * 1024 - 200_000
"""Just below MAX_BODY_BYTES."""


def _solid(kind: str, mode: str, size: tuple[int, int], **options: object) -> bytes:
    out = BytesIO()
    Image.new(mode, size, 77 if mode == "L" else (77, 99, 33, 128)[: len(mode)]).save(
        out, kind, **options
    )
    return out.getvalue()


def _gradient(
    kind: str, mode: str, size: tuple[int, int] = (8_000, 6_000), **options: object
) -> bytes:
    gray = Image.linear_gradient("L").resize(size)
    if mode == "I;16":
        image = gray.convert("I").convert("I;16")
    elif mode in {"L", "P", "1"}:
        image = gray.convert(mode)
    else:
        image = Image.merge(mode, [gray] * len(mode))
    out = BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


WORST: Mapping[str, Callable[[], bytes]] = {
    "JPEG, progressive, 100 scans": partial(jpeg.progressive, *_LARGEST, 100),
    "JPEG, CMYK": partial(jpeg.cmyk, *_LARGEST),
    "JPEG, XMP": partial(jpeg.with_xmp, _BODY_BYTES),
    "JPEG, XMP with long names": partial(jpeg.with_long_names, _BODY_BYTES),
    "JPEG, telemetry": partial(jpeg.with_telemetry, _BODY_BYTES),
    "PNG, RGBA": partial(png.flat, *_LARGEST, 6),
    "PNG, LA": partial(png.flat, *_LARGEST, 4),
    "PNG, RGBA of 16 bits, interlaced": partial(png.flat, *_LARGEST, 6, 16, interlaced=True),
    "PNG, one row": partial(png.flat, 89_000_000, 1, 2),
    "PNG, one column": partial(png.flat, 1, 89_000_000, 2),
    "PNG, 1,000 frames": partial(png.animated, (_SIDE, _SIDE), (_SIDE, _SIDE), _FRAMES),
    "PNG, frames of one pixel": partial(png.animated, _LARGEST, (1, 1), _FRAMES),
    "PNG, texts": partial(png.with_texts, _BODY_BYTES),
    "PNG, many texts": partial(png.with_many_texts, 90_000),
    "PNG, profile": partial(png.with_profile, _BODY_BYTES),
    "GIF, one frame": partial(_solid, "GIF", "L", _LARGEST),
    "GIF, 1,000 frames": partial(animations.pillow_animation, "GIF", _SIDE, _FRAMES),
    "GIF, frames of one pixel": partial(animations.gif_of_pixels, *_LARGEST, _FRAMES),
    "WebP, lossless": partial(_solid, "WEBP", "RGBA", _LARGEST, lossless=True, method=0),
    "WebP, lossless, within the budget": partial(
        _solid, "WEBP", "RGBA", (7_300, 7_300), lossless=True, method=0
    ),
    "WebP, lossy, within the budget": partial(_solid, "WEBP", "RGB", (7_300, 7_300), method=0),
    "WebP, 1,000 frames": partial(
        animations.pillow_animation, "WEBP", _SIDE, _FRAMES, lossless=True, method=0
    ),
    "WebP, frames of one pixel": partial(animations.webp_of_pixels, 7_300, 7_300, _FRAMES),
    "AVIF, 4:4:4 with alpha": partial(
        _solid, "AVIF", "RGBA", _LARGEST, subsampling="4:4:4", speed=10
    ),
    "AVIF, 4:4:4 with alpha, within the budget": partial(
        _solid, "AVIF", "RGBA", (6_700, 6_700), subsampling="4:4:4", speed=10
    ),
    "AVIF, a key frame 900 times": partial(animations.avif_repeated, _SIDE, 900),
    "AVIF, a key frame 19,000 times": partial(animations.avif_repeated, 64, 19_000),
    "AVIF, 1,000 frames": partial(
        animations.pillow_animation, "AVIF", _SIDE, _FRAMES, speed=10, subsampling="4:4:4"
    ),
    "AVIF, sample times": partial(iso.avif_with_times, 200, 90_000),
    "AVIF, TIFF headers": partial(iso.avif_with_headers, _BODY_BYTES),
    "HEIC, items": partial(iso.heic_with_items, _BODY_BYTES),
    "HEIC, boxes": partial(iso.heic_with_boxes, _BODY_BYTES),
    "HEIC, units": partial(iso.heic_with_units, _BODY_BYTES),
    "HEIC, metadata of 900 images": partial(iso.heic_with_metadata, 900, _BODY_BYTES),
    "TIFF, one strip": partial(tiff.one_strip, *_LARGEST),
    "TIFF, many strips": partial(tiff.many_strips, *_LARGEST),
    "TIFF, one strip, within the budget": partial(tiff.one_strip, 8_800, 8_800),
    "TIFF, 65,000 strips": partial(tiff.many_strips, 1_370, 65_000),
    "TIFF, 350,000 tiles": partial(tiff.many_tiles, *_LARGEST),
    "TIFF, 22,000 tiles": partial(tiff.many_tiles, *_LARGEST, 64),
    "TIFF, XMP": partial(tiff.with_xmp, _BODY_BYTES),
    "BMP, one bit": partial(_gradient, "BMP", "1", _LARGEST),
}
"""Each maximises the memory or the CPU time for each accepted byte. The names appear in the report."""

LARGE: Mapping[str, Callable[[], bytes]] = {
    "48 MP JPEG, L": partial(_gradient, "JPEG", "L"),
    "48 MP JPEG, RGB": partial(_gradient, "JPEG", "RGB"),
    "48 MP JPEG, RGB, 4:4:4": partial(_gradient, "JPEG", "RGB", subsampling=0, quality=95),
    "48 MP JPEG, RGB, progressive": partial(_gradient, "JPEG", "RGB", progressive=True),
    "48 MP JPEG, CMYK": partial(_gradient, "JPEG", "CMYK"),
    **{
        f"48 MP PNG, {mode}": partial(_gradient, "PNG", mode, compress_level=1)
        for mode in ("1", "L", "LA", "P", "I;16", "RGB", "RGBA")
    },
    "48 MP GIF, P": partial(_gradient, "GIF", "P"),
    "48 MP WebP, RGB": partial(_gradient, "WEBP", "RGB", method=0),
    "48 MP WebP, RGBA": partial(_gradient, "WEBP", "RGBA", method=2),
    "48 MP WebP, RGBA, lossless": partial(_gradient, "WEBP", "RGBA", method=2, lossless=True),
    "48 MP AVIF, L": partial(_gradient, "AVIF", "L", speed=10),
    "48 MP AVIF, RGB": partial(_gradient, "AVIF", "RGB", speed=10),
    "48 MP AVIF, RGB, 4:4:4": partial(_gradient, "AVIF", "RGB", speed=10, subsampling="4:4:4"),
    "48 MP AVIF, RGBA": partial(_gradient, "AVIF", "RGBA", speed=10),
    **{
        f"48 MP TIFF, {mode}, {compression}": partial(
            _gradient, "TIFF", mode, compression=compression
        )
        for mode, compression in (
            ("1", "group4"),
            ("L", "tiff_lzw"),
            ("I;16", "tiff_adobe_deflate"),
            ("RGB", "jpeg"),
            ("RGB", "tiff_lzw"),
            ("RGBA", "tiff_adobe_deflate"),
            ("CMYK", "tiff_adobe_deflate"),
        )
    },
    "48 MP BMP, 1": partial(_gradient, "BMP", "1"),
}
"""Images of 48 megapixels in every format and common mode, in less than 20 MiB."""


def cached(name: str, make: Callable[[], bytes]) -> bytes:
    """Return the file of this name, which is made on first use."""
    folder = tool_cache() / "bombs" / f"v{_VERSION}-pillow{PIL.__version__}"
    path = folder / hashlib.sha256(name.encode()).hexdigest()[:16]
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(f".{os.getpid()}")
        part.write_bytes(make())
        part.replace(path)
    return path.read_bytes()
