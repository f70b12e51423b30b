"""TIFF variants are decoded, or refused as unsupported: an intact one is never called damaged."""

import itertools
import struct
from io import BytesIO

import pytest
from PIL import Image

from consumer.imaging.formats import TIFF
from consumer.imaging.inspection import inspect, probe
from consumer.imaging.pillow import open_image
from consumer.imaging.policy import ImagePolicy
from core.errors import CorruptImage, UnsupportedFormat
from harness.images import gradient_image

POLICY = ImagePolicy()
WIDTH, HEIGHT = 16, 4
GRAY, RGB, PALETTE, CMYK, YCBCR, LAB = 1, 2, 3, 5, 6, 8
UNSIGNED, SIGNED, FLOAT = 1, 2, 3


def tiff(
    bits: int = 8,
    samples: int = 1,
    photometric: int = GRAY,
    *,
    order: str = "<",
    kind: int = UNSIGNED,
    extra: tuple[int, ...] = (),
    separate: bool = False,
    **more: int | tuple[int, ...],
) -> bytes:
    """Return an uncompressed image of one strip for each plane. `more` has further tags: t259=5."""
    planes = samples if separate else 1
    size = (WIDTH * bits * samples // planes + 7) // 8 * HEIGHT
    tags: dict[int, tuple[int, ...]] = {
        256: (WIDTH,),
        257: (HEIGHT,),
        258: (bits,) * samples,
        259: (1,),
        262: (photometric,),
        273: tuple(range(8, 8 + planes * size, size)),
        277: (samples,),
        278: (HEIGHT,),
        279: (size,) * planes,
        284: (1 + separate,),
        339: (kind,) * samples,
        **({338: extra} if extra else {}),
        **({320: (0,) * (3 << bits)} if photometric == PALETTE else {}),
        **({530: (1, 1)} if photometric == YCBCR else {}),
        **{
            int(name[1:]): value if isinstance(value, tuple) else (value,)
            for name, value in more.items()
        },
    }
    return _encode_tiff(order, bytes(planes * size), tags)


def _encode_tiff(order: str, pixels: bytes, tags: dict[int, tuple[int, ...]]) -> bytes:
    """Return the header, the pixels, then the directory with 16-bit values (TIFF 6.0, section 2)."""
    at = 8 + len(pixels)
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", at)
    values_at = at + 2 + 12 * len(tags) + 4
    entries, values = b"", b""
    for tag, numbers in sorted(tags.items()):
        packed = struct.pack(f"{order}{len(numbers)}H", *numbers)
        inline = len(packed) <= 4
        entries += struct.pack(f"{order}HHI", tag, 3, len(numbers))
        entries += (
            packed.ljust(4, b"\0") if inline else struct.pack(f"{order}I", values_at + len(values))
        )
        values += b"" if inline else packed
    directory = struct.pack(f"{order}H", len(tags)) + entries + bytes(4)
    return head + pixels + directory + values


def is_decodable(body: bytes) -> bool:
    """Return whether Pillow decodes an intact image."""
    try:
        with open_image(TIFF, body) as image:
            image.load()
    except (OSError, SyntaxError, ValueError):
        return False
    return True


KINDS = [(bits, UNSIGNED) for bits in (1, 2, 4, 6, 8, 10, 12, 14, 16, 24, 32, 64)]
KINDS += [(8, SIGNED), (16, SIGNED), (32, SIGNED), (16, FLOAT), (32, FLOAT), (64, FLOAT)]
COLORS = [
    (GRAY, 1, ()),
    (0, 1, ()),
    *((GRAY, 2, (extra,)) for extra in (0, 1, 2)),
    (RGB, 3, ()),
    *((RGB, 4, (extra,)) for extra in (0, 1, 2)),
    (RGB, 5, (1, 0)),
    (RGB, 5, (0, 0)),
    (CMYK, 4, ()),
    (CMYK, 5, (0,)),
    (CMYK, 5, (2,)),
    (YCBCR, 3, ()),
    (LAB, 3, ()),
    (9, 3, ()),
    (32845, 3, ()),
]


@pytest.mark.parametrize(("photometric", "samples", "extra"), COLORS)
@pytest.mark.parametrize(("bits", "kind"), KINDS)
def test_what_pillow_cannot_decode_is_unsupported(
    photometric: int, samples: int, extra: tuple[int, ...], bits: int, kind: int
) -> None:
    """Decided from the tags, for every combination of them. The others pass the whole inspection."""
    for order, separate, fill_order in itertools.product("<>", (False, True), (1, 2)):
        body = tiff(
            bits,
            samples,
            photometric,
            order=order,
            kind=kind,
            extra=extra,
            separate=separate,
            t266=fill_order,
        )
        if is_decodable(body):
            assert inspect(body, POLICY).metadata.perceptual_hash
            continue
        with pytest.raises(UnsupportedFormat, match="TIFF with "):
            probe(body, POLICY)


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (tiff(12, 3, RGB), "12 bits per sample (RGB, 3 samples)"),
        (tiff(10), "10 bits per sample (gray, 1 sample)"),
        (tiff(16, 2, extra=(2,)), "16 bits per sample (gray, 2 samples)"),
        (tiff(64, kind=FLOAT), "64 floating-point bits per sample (gray, 1 sample)"),
        (tiff(32, 3, 32845), "LogLuv colors"),
        (tiff(t259=50001), "WebP compression"),
        (tiff(t259=34712), "JPEG 2000 compression"),
        (tiff(t259=34887), "LERC compression"),
        (tiff(t259=12345), "code 12345 compression"),
        (tiff(t259=4), "group4 compression and 8 bits per sample"),
        (tiff(16, t259=7), "jpeg compression and 16 bits per sample"),
        (tiff(4, t259=5, t317=2), "predictor 2 and 4 bits per sample"),
        (tiff(16, t259=5, t317=3), "predictor 3 and 16 bits per sample"),
        (tiff(8, 3, YCBCR, t530=(3, 1)), "YCbCr subsampling of 3 by 1"),
        (tiff(8, 3, YCBCR, separate=True, t530=(2, 2)), "YCbCr subsampling of 2 by 2"),
        (tiff(8, 5, RGB, extra=(2, 0), separate=True), "extra samples in planes of their own"),
    ],
)
def test_the_message_says_what_is_not_supported(body: bytes, detail: str) -> None:
    """In the terms of TIFF."""
    with pytest.raises(UnsupportedFormat) as refused:
        probe(body, POLICY)
    assert refused.value.detail.startswith(f"TIFF with {detail}; accepted are JPEG")


@pytest.mark.parametrize(
    "compression",
    ["raw", "tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg", "lzma", "zstd", "webp"],
)
def test_an_image_that_pillow_can_write_can_be_read(compression: str) -> None:
    """A codec that this build lacks cannot be written, so nothing is to be read."""
    out = BytesIO()
    with Image.open(BytesIO(gradient_image("PNG"))) as image:
        try:
            image.save(out, "TIFF", compression=compression)
        except OSError:
            with pytest.raises(UnsupportedFormat):
                probe(tiff(t259={"lzma": 34925, "zstd": 50000, "webp": 50001}[compression]), POLICY)
            return
    assert inspect(out.getvalue(), POLICY).metadata.perceptual_hash


def test_the_directory_of_each_page_decides() -> None:
    """A later page may have other pixels than the first."""
    first, second = tiff(), tiff(12, 3, RGB)
    moved = len(first)
    body = bytearray(first + second)
    at = struct.unpack_from("<I", first, 4)[0]
    count = struct.unpack_from("<H", first, at)[0]
    at_second = struct.unpack_from("<I", second, 4)[0] + moved
    struct.pack_into("<I", body, at + 2 + 12 * count, at_second)
    for index in range(struct.unpack_from("<H", body, at_second)[0]):
        tag, _, number = struct.unpack_from("<HHI", body, at_second + 2 + 12 * index)
        if tag == 273 or 2 * number > 4:
            place = at_second + 10 + 12 * index
            struct.pack_into("<I", body, place, struct.unpack_from("<I", body, place)[0] + moved)
    with pytest.raises(UnsupportedFormat, match="12 bits per sample"):
        probe(bytes(body), POLICY)


def test_damage_is_still_damage() -> None:
    """A strip of a supported variant that does not decode."""
    out = BytesIO()
    with Image.open(BytesIO(gradient_image("PNG"))) as image:
        image.save(out, "TIFF", compression="tiff_adobe_deflate")
    body = bytearray(out.getvalue())
    body[20:60] = bytes(40)
    with pytest.raises(CorruptImage):
        inspect(bytes(body), POLICY)
