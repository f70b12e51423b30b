"""Damage in the JPEG data and in the deflated data of a TIFF is found, as in a JPEG or a PNG."""

import zlib
from io import BytesIO

import pytest
from PIL import Image, TiffImagePlugin

from consumer.imaging.inspection import inspect
from consumer.imaging.policy import ImagePolicy, Verification
from core.errors import CorruptImage, TooManyPixels
from harness.images import sample, tiff_directory

MODES: list[Verification] = ["draft", "full"]
STRIPS, STRIP_SIZES = 273, 279
SIDE = 192


def photograph(mode: str) -> Image.Image:
    with Image.open(BytesIO(sample("astronaut.png"))) as image:
        return image.convert("RGB").resize((SIDE, SIDE)).convert(mode)


def tiff(
    mode: str, *, compression: str = "jpeg", frames: int = 1, strip_bytes: int = 1 << 20
) -> bytes:
    """Return a TIFF whose strips have at most so many bytes of pixels."""
    out = BytesIO()
    photograph(mode).save(
        out,
        "TIFF",
        compression=compression,
        strip_size=strip_bytes,
        save_all=frames > 1,
        append_images=[photograph(mode)] * (frames - 1),
    )
    return out.getvalue()


def strips(body: bytes, frame: int = 0) -> list[slice]:
    with Image.open(BytesIO(body)) as image:
        assert isinstance(image, TiffImagePlugin.TiffImageFile)
        image.seek(frame)
        tags = image.tag_v2
        return [
            slice(at, at + size) for at, size in zip(tags[STRIPS], tags[STRIP_SIZES], strict=True)
        ]


def damaged(body: bytes, strip: slice) -> bytes:
    """Put an end marker into the middle of a strip. Its other half is lost, and the sizes stay right."""
    middle = (strip.start + strip.stop) // 2
    return body[:middle] + b"\xff\xd9" + body[middle + 2 :]


def gray_jpeg(size: tuple[int, int]) -> bytes:
    out = BytesIO()
    photograph("L").resize(size).save(out, "JPEG", quality=90)
    return out.getvalue()


def one_piece(
    data: bytes, height: int = SIDE, *, tiled: bool = False, compression: int = 7
) -> bytes:
    """Return a gray TIFF of one strip or tile, SIDE pixels wide, which is all of `data`."""
    tags = {256: SIDE, 257: height, 258: 8, 259: compression, 262: 1, 277: 1}
    if tiled:
        tags |= {322: SIDE, 323: height, 324: 0, 325: len(data)}
    else:
        tags |= {STRIPS: 0, 278: height, STRIP_SIZES: len(data)}
    start = len(tiff_directory(*((tag, 1, 0) for tag in tags)))
    tags[324 if tiled else STRIPS] = start
    return tiff_directory(*((tag, 1, value) for tag, value in sorted(tags.items()))) + data


@pytest.mark.parametrize("verification", MODES)
@pytest.mark.parametrize("strip_bytes", [1 << 20, 20_000], ids=["one strip", "strips"])
@pytest.mark.parametrize("mode", ["L", "RGB", "YCbCr", "CMYK"])
def test_a_damaged_strip_is_found(mode: str, strip_bytes: int, verification: Verification) -> None:
    """Whichever strip it is. The intact image completes."""
    policy = ImagePolicy(verification=verification)
    body = tiff(mode, strip_bytes=strip_bytes)
    assert inspect(body, policy).body is body
    for strip in strips(body):
        with pytest.raises(CorruptImage):
            inspect(damaged(body, strip), policy)


@pytest.mark.parametrize("strip_bytes", [1 << 20, 20_000], ids=["one strip", "strips"])
@pytest.mark.parametrize("mode", ["1", "L", "I;16", "RGB", "CMYK"])
def test_a_wrong_checksum_of_deflated_pixels_is_found(mode: str, strip_bytes: int) -> None:
    """Other pixels would be published as the image. A checksum that is missing is no damage, as in a PNG."""
    body = tiff(mode, compression="tiff_adobe_deflate", strip_bytes=strip_bytes)
    assert inspect(body, ImagePolicy()).body is body
    for strip in strips(body):
        last = strip.stop - 1
        wrong = body[:last] + bytes((body[last] ^ 1,)) + body[strip.stop :]
        with pytest.raises(CorruptImage):
            inspect(wrong, ImagePolicy())


def test_data_after_the_pixels_of_a_strip_is_not_inflated() -> None:
    """A strip may inflate to a thousand times its size, and decoders stop after the pixels."""
    body = one_piece(zlib.compress(bytes(10 * SIDE * SIDE) + b"x")[:-1] + b"?", compression=8)
    assert inspect(body, ImagePolicy()).metadata.dominant_color == "#000000"


def test_every_frame_is_checked() -> None:
    """Not only the first one, from which hash and colour are computed."""
    body = tiff("RGB", frames=3)
    assert inspect(body, ImagePolicy()).metadata.frames == 3
    for frame in range(3):
        with pytest.raises(CorruptImage):
            inspect(damaged(body, strips(body, frame)[0]), ImagePolicy())


def test_a_tile_without_shared_tables_is_checked() -> None:
    """It is a complete JPEG."""
    body = one_piece(gray_jpeg((SIDE, SIDE)), tiled=True)
    assert inspect(body, ImagePolicy()).metadata.width == SIDE
    with pytest.raises(CorruptImage):
        inspect(damaged(body, slice(len(body) // 2, len(body))), ImagePolicy())


def test_a_strip_without_its_end_marker_is_accepted_if_all_pixels_are_there() -> None:
    """libtiff ends a strip by its size."""
    data = gray_jpeg((SIDE, SIDE))
    assert inspect(one_piece(data[:-2]), ImagePolicy()).metadata.width == SIDE
    with pytest.raises(CorruptImage):
        inspect(one_piece(data[:-300]), ImagePolicy())


def test_a_strip_of_a_larger_jpeg_is_refused_before_it_is_decoded() -> None:
    """Its pixels were not charged."""
    with pytest.raises(CorruptImage, match="larger than the image says"):
        inspect(one_piece(gray_jpeg((SIDE, SIDE)), height=8), ImagePolicy())


def test_a_strip_of_too_many_scans_is_refused() -> None:
    """As in a JPEG."""
    data = gray_jpeg((SIDE, SIDE))
    scan = data[data.index(b"\xff\xda") : -2]
    with pytest.raises(TooManyPixels, match="scans"):
        inspect(one_piece(data[:-2] + scan * 200 + data[-2:]), ImagePolicy())


def test_header_verification_does_not_look_at_the_strips() -> None:
    """As in every format."""
    body = tiff("RGB")
    policy = ImagePolicy(verification="header")
    assert inspect(damaged(body, strips(body)[0]), policy).metadata.width == SIDE
