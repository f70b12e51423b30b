"""BMP variants are decoded, or refused as unsupported: an intact one is never called damaged."""

import struct
from io import BytesIO

import pytest
from PIL import Image

from consumer.imaging.inspection import inspect, probe
from consumer.imaging.policy import ImagePolicy
from core.errors import CorruptImage, ImageFailure, UnsupportedFormat

POLICY = ImagePolicy()
WIDTH, HEIGHT = 9, 4
BGRX = (0xFF0000, 0xFF00, 0xFF)


def bmp(
    depth: int = 24,
    compression: int = 0,
    *,
    size: int = 40,
    width: int = WIDTH,
    height: int = HEIGHT,
    masks: tuple[int, ...] = (),
    colors: int = 0,
) -> bytes:
    """Return an image with a palette of `colors`, or of all colors that `depth` can name."""
    entries = colors or (1 << depth if depth <= 8 else 0)
    behind = struct.pack(f"<{len(masks)}I", *masks).ljust(max(size - 40, 0), b"\0")
    table = b"".join(bytes((index % 256, 7, 9, 0)) for index in range(entries))
    pixels_at = 14 + 40 + len(behind) + len(table)
    row = (abs(width) * depth + 31) // 32 * 4
    pixels = bytes(row * abs(height))
    header = struct.pack(
        "<IiiHHIIIIII", size, width, height, 1, depth, compression, len(pixels), 0, 0, colors, 0
    )
    file_header = b"BM" + struct.pack("<IHHI", pixels_at + len(pixels), 0, 0, pixels_at)
    return file_header + header + behind + table + pixels


def is_decodable(body: bytes) -> bool:
    try:
        with Image.open(BytesIO(body), formats=("BMP",)) as image:
            image.load()
    except (OSError, ValueError, SyntaxError):
        return False
    return True


LAYOUTS = [
    BGRX,
    (*BGRX, 0),
    (*BGRX, 0xFF000000),
    (0xFF, 0xFF00, 0xFF0000),
    (0xFF, 0xFF00, 0xFF0000, 0xFF000000),
    (0xFF000000, 0xFF0000, 0xFF00),
    (0xFF000000, 0xFF0000, 0xFF00, 0xFF),
    (0xFF000000, 0xFF00, 0xFF, 0),
    (0xFF000000, 0xFF00, 0xFF, 0xFF0000),
    (0xFF000000, 0xFF0, 0xFF0000),
    (0, 0, 0, 0),
    (0x3FF, 0x1FFC00, 0xFFE00000),
    (0xF800, 0x7E0, 0x1F),
    (0x7C00, 0x3E0, 0x1F),
    (0xF00, 0xF0, 0xF),
]


@pytest.mark.parametrize("size", [40, 52, 56, 64, 108, 124])
@pytest.mark.parametrize("depth", [1, 2, 4, 8, 16, 24, 32])
def test_what_pillow_cannot_decode_is_unsupported(depth: int, size: int) -> None:
    """For every layout of bit fields, and sizes of the palette."""
    bodies = [
        *(bmp(depth, 3, size=size, masks=masks) for masks in LAYOUTS),
        *(bmp(depth, size=size, colors=colors) for colors in (0, 2, 5, 256, 300)),
    ]
    for body in bodies:
        if is_decodable(body):
            assert inspect(body, POLICY).metadata.perceptual_hash
            continue
        with pytest.raises(UnsupportedFormat, match="BMP with "):
            probe(body, POLICY)


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (bmp(8, 1), "run-length encoding"),
        (bmp(4, 2), "run-length encoding"),
        (bmp(24, 4, size=64), "run-length encoding"),
        (bmp(1, 3, size=64), "Huffman coding"),
        (bmp(0, 4, size=124), "an embedded JPEG"),
        (bmp(0, 5, size=124), "an embedded PNG"),
        (bmp(32, 6, masks=(*BGRX, 0)), "alpha bit fields"),
        (bmp(32, 11), "CMYK colors"),
        (bmp(32, 77), "compression code 77"),
        (bmp(2), "2 bits per pixel"),
        (bmp(64), "64 bits per pixel"),
        (bmp(16, 3, size=56, masks=(0xF00, 0xF0, 0xF)), "bit fields f00/f0/f of 16 bits"),
        (bmp(8, colors=300), "a palette of 300 colors"),
    ],
)
def test_the_message_says_what_is_not_supported(body: bytes, detail: str) -> None:
    """In the terms of BMP."""
    with pytest.raises(UnsupportedFormat) as refused:
        probe(body, POLICY)
    assert refused.value.detail.startswith(f"BMP with {detail}; accepted are JPEG")


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (bmp(width=-9), "its width is negative"),
        (bmp(width=0), "it has no pixels"),
        (bmp(height=0), "it has no pixels"),
        (bmp(30_000), "30,000 bits per pixel"),
        (bmp()[:-1], "its pixels are cut short"),
        (bmp()[:40], "its header is cut short"),
        (bmp(8, colors=300)[:400], "its palette is cut short"),
    ],
)
def test_damage_is_named(body: bytes, detail: str) -> None:
    """It is CORRUPT_IMAGE."""
    with pytest.raises(CorruptImage) as damaged:
        probe(body, POLICY)
    assert damaged.value.detail == detail


def test_rows_may_run_from_top_to_bottom() -> None:
    """A negative height says so."""
    metadata = inspect(bmp(height=-4), POLICY).metadata
    assert (metadata.width, metadata.height) == (WIDTH, HEIGHT)


@pytest.mark.parametrize("height", [-(1 << 31), (1 << 31) - 1])
def test_an_absurd_height_is_refused(height: int) -> None:
    """Its absolute value does not fit into the number itself."""
    body = bytearray(bmp())
    struct.pack_into("<i", body, 22, height)
    with pytest.raises(ImageFailure):
        probe(bytes(body), POLICY)
