from io import BytesIO

import pytest
from PIL import Image

from consumer.imaging.formats import FORMATS
from consumer.imaging.inspection import inspect, probe
from consumer.imaging.limits import BYTES_PER_PIXEL, estimate_decode_bytes
from consumer.imaging.policy import ImagePolicy
from consumer.imaging.structure import ImageStructure
from consumer.settings import ConsumerSettings
from core.errors import CorruptImage, TooManyPixels
from harness.images import (
    bomb_png,
    gradient_image,
    jpeg_segment,
    jpeg_with,
    png_chunk,
    png_with,
    sample,
    tiff_directory,
    webp_with,
)

TINY = ImagePolicy(max_pixels=10_000)


def gif_with_wide_frame(width: int, height: int) -> bytes:
    """A GIF with a small screen whose second frame claims to reach far beyond it."""
    extent = width.to_bytes(2, "little") + height.to_bytes(2, "little")
    frame = b"\x2c\0\0\0\0" + extent + b"\0" + b"\x02\x02\x44\x01\0"
    return gradient_image("GIF", (8, 8))[:-1] + frame + b";"


def tiff_of_pages(*sizes: tuple[int, int]) -> bytes:
    out = BytesIO()
    pages = [Image.new("L", size) for size in sizes]
    pages[0].save(out, "TIFF", save_all=True, append_images=pages[1:])
    return out.getvalue()


def overlapping_directories() -> bytes:
    """A chain of 2,000 directories of 1,000 entries each in 20 KB, one four bytes after another."""
    starts = range(8, 8 + 4 * 2_000, 4)
    counts = (1_000).to_bytes(4, "little") * len(starts)
    gap = bytes(8 + 2 + 12 * 1_000 - 8 - len(counts))
    pointers = b"".join((start + 4).to_bytes(4, "little") for start in starts)
    return b"II*\0\x08\0\0\0" + counts + gap + pointers


OVER_PIXELS = {
    "jpeg": gradient_image("JPEG", (101, 100)),
    "png": gradient_image("PNG", (101, 100)),
    "gif": gradient_image("GIF", (101, 100)),
    "webp": gradient_image("WEBP", (101, 100)),
    "avif": gradient_image("AVIF", (101, 100)),
    "tiff": gradient_image("TIFF", (101, 100)),
    "bmp": gradient_image("BMP", (101, 100)),
    "animated png": gradient_image("PNG", (50, 50), frames=5),
    "animated gif": gradient_image("GIF", (50, 50), frames=5),
    "animated webp": gradient_image("WEBP", (50, 50), frames=5),
    "avif sequence": gradient_image("AVIF", (50, 50), frames=5),
    "tiff pages": tiff_of_pages((60, 60), (70, 60), (60, 60)),
    "gif frame beyond the screen": gif_with_wide_frame(101, 100),
}

BOMBS = {
    "png": bomb_png(),
    "png sample": sample("bad/bomb.png"),
    "gif": gif_with_wide_frame(65_000, 65_000),
    "webp canvas": webp_with([]).replace(b"VP8X\x0a\0\0\0\x0c\0\0\0\x3f\0\0", b"VP8X\x0a\0\0\0\x0c\0\0\0\xff\xff\xff"),
    "tiff": tiff_directory((256, 1, 1 << 20), (257, 1, 1 << 20)),
    "tiff tile": tiff_directory((256, 1, 8), (257, 1, 8), (322, 1, 1 << 16), (323, 1, 1 << 16)),
    "tiff with very many tiles": tiff_directory((256, 1, 8), (257, 1, 8), (324, 1 << 20, 8)) + bytes(4 << 20),
}  # fmt: skip


@pytest.mark.parametrize("body", OVER_PIXELS.values(), ids=OVER_PIXELS.keys())
def test_the_pixel_limit_covers_every_format_and_frame(body: bytes) -> None:
    """Frames times pixels over the limit is TOO_MANY_PIXELS, in `probe` and in `inspect`."""
    with pytest.raises(TooManyPixels):
        probe(body, TINY)
    with pytest.raises(TooManyPixels):
        inspect(body, TINY)


@pytest.mark.parametrize("body", BOMBS.values(), ids=BOMBS.keys())
def test_decompression_bombs_are_rejected_before_decoding(body: bytes) -> None:
    """A small body that claims a huge image is TOO_MANY_PIXELS under the default policy."""
    with pytest.raises(TooManyPixels):
        probe(body, ImagePolicy())
    with pytest.raises(TooManyPixels):
        inspect(body, ImagePolicy())


CRAFTED = {
    "tiff directories that overlap": overlapping_directories(),
    "tiff with a huge directory": b"II*\0\x08\0\0\0" + b"\xff\xff" * 400_000,
    "tiff strips that are decoded again and again": tiff_directory(
        (256, 1, 8), (257, 1, 8), (278, 1, 4), (273, 1_000, 8), (279, 1_000, 8)
    )
    + bytes(4_000),
    "tiff with two widths": tiff_directory((256, 1, 8), (256, 1, 8_000), (257, 1, 8)),
    "exif directories that overlap": jpeg_with(
        jpeg_segment(0xE1, b"Exif\0\0" + overlapping_directories())
    ),
    "exif of nothing but suspects": png_with(
        png_chunk(b"eXIf", tiff_directory(*(((0x8825), 1, 8) for _ in range(1_000))))
    ),
}


@pytest.mark.parametrize("body", CRAFTED.values(), ids=CRAFTED.keys())
def test_tables_that_overlap_or_repeat_are_corrupt(body: bytes) -> None:
    """The walk over such tables stops at a limit."""
    with pytest.raises(CorruptImage):
        inspect(body, ImagePolicy())


@pytest.mark.parametrize("kind", [each.name for each in FORMATS if not each.decoder])
def test_an_image_at_the_limit_is_accepted(kind: str) -> None:
    """An image of exactly `max_pixels` passes."""
    assert inspect(gradient_image(kind, (100, 100)), TINY).metadata.width == 100


@pytest.mark.parametrize("kind", ["PNG", "GIF", "WEBP", "TIFF", "AVIF"])
def test_frames_have_a_limit_of_their_own(kind: str) -> None:
    """One frame over the limit is TOO_MANY_PIXELS, even for small frames."""
    body = gradient_image(kind, (16, 16), frames=4)
    # The encoder of AVIF adds a frame that is never shown.
    assert inspect(body, ImagePolicy(max_frames=5)).metadata.frames == 4
    with pytest.raises(TooManyPixels):
        inspect(body, ImagePolicy(max_frames=3))


def test_a_frame_over_pillows_limit_is_rejected() -> None:
    """A frame that Pillow would only warn about is rejected under any policy."""
    with pytest.raises(TooManyPixels):
        probe(sample("bad/bomb.png"), ImagePolicy(max_pixels=1_000_000_000))


def test_an_image_without_pixels_is_corrupt() -> None:
    """A width of zero is CORRUPT_IMAGE."""
    body = bytearray(gradient_image("GIF"))
    at = body.index(b"\x2c\0\0\0\0")
    body[6:10] = body[at + 5 : at + 9] = bytes(4)
    with pytest.raises(CorruptImage):
        probe(bytes(body), ImagePolicy())


def test_a_draft_needs_less_memory() -> None:
    """The memory for a JPEG depends on how far it is decoded. A progressive one needs more."""
    body = gradient_image("JPEG", (2_000, 1_000))
    out = BytesIO()
    Image.open(BytesIO(body)).save(out, "JPEG", progressive=True)
    header, draft, full = (
        probe(body, ImagePolicy(verification=mode)).decode_bytes
        for mode in ("header", "draft", "full")
    )
    progressive = probe(out.getvalue(), ImagePolicy()).decode_bytes
    assert header < draft < full
    # Two bytes for each of the 1.5 samples of a pixel with subsampled chroma.
    assert progressive - len(out.getvalue()) * 3 >= draft - len(body) * 3 + 2_000_000 * 3
    assert full >= 2_000_000 * 4


def test_the_walk_over_a_tiff_stops_at_the_frame_limit() -> None:
    """Damage after the last allowed directory is not seen."""
    whole = tiff_of_pages((16, 16), (16, 16), (16, 16))
    cut = whole[:-40]
    with pytest.raises(CorruptImage):
        probe(cut, ImagePolicy(max_frames=3))
    with pytest.raises(TooManyPixels, match="more than 1 frames"):
        probe(cut, ImagePolicy(max_frames=1))


@pytest.mark.parametrize("components", [3, 4])
def test_scans_of_single_components_count_their_coefficients(components: int) -> None:
    """A decoder keeps two bytes for each component and pixel until the last scan is read."""
    together, apart = (
        probe(jpeg_of_scans(components, apart=apart), ImagePolicy()).decode_bytes
        for apart in (False, True)
    )
    assert apart - together >= 2_000 * 1_000 * 2 * components


def jpeg_of_scans(components: int, *, apart: bool) -> bytes:
    """The structure of a baseline JPEG of 2,000 x 1,000 pixels, its components in scans of one."""
    numbers = range(1, components + 1)
    size = (1_000).to_bytes(2, "big") + (2_000).to_bytes(2, "big")
    header = b"\x08" + size + bytes((components,))
    header += b"".join(bytes((number, 0x11, 0)) for number in numbers)
    scans = [[number] for number in numbers] if apart else [[*numbers]]
    segments = [
        bytes((len(scan),)) + b"".join(bytes((number, 0)) for number in scan) + b"\0\x3f\0"
        for scan in scans
    ]
    body = b"".join(jpeg_segment(0xDA, segment) + bytes(8) for segment in segments)
    return b"\xff\xd8" + jpeg_segment(0xC0, header) + body + b"\xff\xd9"


def test_each_scan_of_a_jpeg_is_work() -> None:
    """A decoder passes over the whole image for each scan. A scan costs less than a pixel of another format."""
    few, many = (probe(progressive_jpeg(scans), ImagePolicy()).work_pixels for scans in (6, 90))
    assert few < 6 * 64 * 48
    assert many == pytest.approx(15 * few, rel=0.02)
    assert probe(gradient_image("PNG"), ImagePolicy()).work_pixels == 64 * 48
    assert probe(gradient_image("PNG"), ImagePolicy(verification="header")).work_pixels == 0


def progressive_jpeg(scans: int) -> bytes:
    """A gray progressive JPEG of six scans, the first of which is repeated."""
    out = BytesIO()
    Image.linear_gradient("L").resize((64, 48)).save(out, "JPEG", progressive=True)
    body = out.getvalue()
    start = body.index(b"\xff\xda")
    stop = body.index(b"\xff", start + 2)
    return body[:start] + body[start:stop] * (scans - body.count(b"\xff\xda")) + body[start:]


LARGER_THAN_THE_BUDGET = {
    "4:0:0, 10 or 12 bits, alpha",
    "4:2:0, 10 or 12 bits, alpha",
    "4:2:2, 10 or 12 bits, alpha",
    "4:4:4, 8 bits, alpha",
    "4:4:4, 10 or 12 bits, alpha",
}
"""Layouts of AVIF in which 48 megapixels with a body of 10 MB do not fit."""
HEIC_LARGER_THAN_THE_BUDGET = {
    "4:0:0, 10 or 12 bits, alpha",
    "4:2:2, 10 or 12 bits",
    "4:2:2, 10 or 12 bits, alpha",
    "4:4:4, 10 or 12 bits",
    "4:4:4, 10 or 12 bits, alpha",
}


def test_48_megapixels_fit_into_the_budget_in_every_format() -> None:
    """The default budget suffices for them, decoded at full size, with a body of 10 MB."""
    budget = ConsumerSettings.model_fields["decode_budget_bytes"].default
    policy = ImagePolicy(verification="full")
    too_large: dict[str, set[str]] = {each.name: set() for each in BYTES_PER_PIXEL}
    for image_format, layouts in BYTES_PER_PIXEL.items():
        for layout in layouts:
            structure = ImageStructure(
                8_000,
                6_000,
                1,
                48_000_000,
                48_000_000,
                10_000_000,
                layout=layout,
                coded_bytes=10_000_000,
            )
            if estimate_decode_bytes(image_format, structure, 10_000_000, policy) > budget:
                too_large[image_format.name].add(layout)
    assert too_large.pop("AVIF") == LARGER_THAN_THE_BUDGET
    assert too_large.pop("HEIC") == HEIC_LARGER_THAN_THE_BUDGET
    assert not any(too_large.values())
