"""Limits on an image, and the memory and the time that decoding it takes. Arithmetic on its structure."""

from collections.abc import Mapping

from PIL import Image

from consumer.imaging import formats
from consumer.imaging.formats import AVIF, HEIC, JPEG, PNG, Format
from consumer.imaging.policy import ImagePolicy
from consumer.imaging.structure import ImageStructure
from core.errors import CorruptImage, TooManyPixels

FIXED_BYTES = 2_000_000
"""Parsed tables, and the thumbnail with its copies."""
_HEAP_BYTES = 8 << 20
"""The C library's allocator keeps freed blocks of up to MALLOC_MMAP_THRESHOLD_ (consumer/sandbox/fork_client.py), here
those of planes."""
_DRAFT_AREA = 64
"""A draft has an eighth of the width and of the height."""


def _avif_bytes_per_pixel() -> dict[str, float]:
    """Planes with their padding, two copies of the interleaved pixels, and tables of each of the decoders."""
    layouts = {}
    for chroma, share in (("4:0:0", 0), ("4:2:0", 0.5), ("4:2:2", 1), ("4:4:4", 2)):
        for depth, size in (("8 bits", 1), ("10 or 12 bits", 2)):
            plane = 1.1 * size
            interleaved = 6 if share else 2
            layouts[f"{chroma}, {depth}"] = plane * (1 + share) + interleaved + 0.9
            layouts[f"{chroma}, {depth}, alpha"] = plane * (2 + share) + 8 + 1.8
    return layouts


BYTES_PER_PIXEL: Mapping[Format, Mapping[str, float]] = {
    formats.JPEG: {"L": 1, "RGB": 4, "CMYK": 4},
    formats.PNG: {
        "gray": 1,
        "gray, 16 bits": 2,
        "gray with alpha": 4.2,
        "palette": 1,
        "RGB": 4,
        "RGB with alpha": 4.2,
    },
    formats.GIF: {"palette": 1, "palette, with disposal": 2},
    formats.WEBP: {"lossy or lossless": 12, "lossy with alpha": 14},
    formats.AVIF: _avif_bytes_per_pixel(),
    formats.HEIC: {
        "4:0:0, 8 bits": 3.4,
        "4:0:0, 8 bits, alpha": 9,
        "4:0:0, 10 or 12 bits": 5.6,
        "4:0:0, 10 or 12 bits, alpha": 16,
        "4:2:0, 8 bits": 8.4,
        "4:2:0, 8 bits, alpha": 9,
        "4:2:0, 10 or 12 bits": 8.4,
        "4:2:0, 10 or 12 bits, alpha": 12.4,
        "4:2:2, 8 bits": 8.8,
        "4:2:2, 8 bits, alpha": 12,
        "4:2:2, 10 or 12 bits": 14.2,
        "4:2:2, 10 or 12 bits, alpha": 19.2,
        "4:4:4, 8 bits": 9.9,
        "4:4:4, 8 bits, alpha": 13,
        "4:4:4, 10 or 12 bits": 16,
        "4:4:4, 10 or 12 bits, alpha": 21,
    },
    formats.TIFF: {"gray or palette": 1, "gray, 16 bits": 2, "several samples, or 32 bits": 4.2},
    formats.BMP: {"palette": 1, "RGB": 4},
}
"""Peak memory for each pixel of the largest frame, by format and `ImageStructure.layout`.

Measured by tests/unit/consumer/imaging/test_decode_memory.py. `ImageStructure.buffer_bytes` is added.
"""

_PASSES_OF_DRAFT = 8
"""Scans of a pixel of a JPEG that take as long as a decoded pixel of another format (measured)."""
_METADATA_COPIES = 3
"""Copies of the metadata beside those of the body: pieces, the joined text, and the text without the location."""
_PIXELS = frozenset({b"IDAT", b"fdAT", b"ANMF", b"ALPH", b"VP8 ", b"VP8L", b"\x2c"})
"""Segments that are no metadata: of PNG, WebP and GIF. Those of JPEG do not contain the pixels."""
_INFLATION = 1_032
"""The most bytes that a deflated byte inflates to (RFC 1951)."""
_INFLATED_BYTES = 4_000_000
"""Text is inflated in pieces of at most 1 MiB, and a profile in it is decoded."""

_BODY_COPIES: Mapping[Format, int] = {
    formats.BMP: 1,
    formats.JPEG: 3,
    formats.PNG: 3,
    formats.WEBP: 3,
}
_OTHER_BODY_COPIES = 2
"""The body, and its copy without location, which a BMP does not have. libjpeg-turbo and Pillow get a copy with a clean
header (JPEG in some cases, PNG always), and libwebp makes one."""


def check_limits(structure: ImageStructure, policy: ImagePolicy) -> None:
    """Raise CorruptImage for an image without pixels, and TooManyPixels for one over the policy."""
    if structure.width < 1 or structure.height < 1:
        raise CorruptImage("it has no pixels")
    frames = structure.frames + structure.hidden_frames
    if frames > policy.max_frames:
        raise TooManyPixels(f"{frames:,} frames, at most {policy.max_frames:,}")
    frame_limit = min(policy.max_pixels, Image.MAX_IMAGE_PIXELS or policy.max_pixels)
    if structure.largest > frame_limit:
        raise TooManyPixels(f"{structure.largest:,} in a frame, at most {frame_limit:,}")
    if structure.pixels > policy.max_pixels:
        raise TooManyPixels(f"{structure.pixels:,} in all frames, at most {policy.max_pixels:,}")


def estimate_decode_bytes(
    image_format: Format, structure: ImageStructure, body_size: int, policy: ImagePolicy
) -> int:
    """Estimate the peak memory in bytes of inspecting a body of `body_size` bytes."""
    copies = _BODY_COPIES.get(image_format, _OTHER_BODY_COPIES)
    # The metadata is searched before the pixels are decoded.
    pixels = _pixel_bytes(image_format, structure, policy)
    return (
        FIXED_BYTES
        + body_size * copies
        + max(pixels, _metadata_bytes(image_format, structure, body_size))
    )


def estimate_work(image_format: Format, structure: ImageStructure, policy: ImagePolicy) -> int:
    """Estimate the time of decoding as a number of pixels, each of which takes about 10 ns."""
    if policy.verification == "header":
        return 0
    work = structure.pixels * structure.passes
    return work // _PASSES_OF_DRAFT if image_format is JPEG else work


def _metadata_bytes(image_format: Format, structure: ImageStructure, body_size: int) -> int:
    size = sum(each.size for each in structure.segments if each.name not in _PIXELS)
    if not structure.segments:
        size = max(0, body_size - structure.coded_bytes)
    inflated = min(size * _INFLATION, _INFLATED_BYTES) if image_format is PNG else 0
    return size * _METADATA_COPIES + inflated


def _pixel_bytes(image_format: Format, structure: ImageStructure, policy: ImagePolicy) -> int:
    if policy.verification == "header":
        return 0
    decoded = round(structure.largest * BYTES_PER_PIXEL[image_format][structure.layout])
    if image_format is JPEG and policy.verification == "draft":
        decoded //= _DRAFT_AREA
    return structure.buffer_bytes + decoded + heap_bytes(image_format, decoded)


def heap_bytes(image_format: Format, decoded_bytes: int) -> int:
    """Return what stays in the heap after the pixels of an image were decoded in so many bytes."""
    return min(decoded_bytes // 2, _HEAP_BYTES) if image_format in (AVIF, HEIC) else 0
