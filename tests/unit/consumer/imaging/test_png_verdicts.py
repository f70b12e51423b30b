"""Only the visible parts of a PNG decide its verdict: critical chunks, pixels, and the animation if it is sound."""

import zlib
from collections.abc import Callable
from io import BytesIO

import pytest
from PIL import Image

from consumer.imaging.decode import decode_first_frame
from consumer.imaging.formats import PNG
from consumer.imaging.inspection import inspect
from consumer.imaging.policy import ImagePolicy
from consumer.imaging.structure.png import read_structure
from core.errors import CorruptImage, UnsupportedFormat
from core.model.image import ImageMetadata
from harness.images import png_chunk

WIDTH, HEIGHT = 40, 30
ROW = 1 + 3 * WIDTH
SIGNATURE = b"\x89PNG\r\n\x1a\n"
END = png_chunk(b"IEND", b"")
TOO_LONG = zlib.compress(bytes(2_000_000))


def header(depth: int = 8, color_type: int = 2, interlacing: int = 0) -> bytes:
    size = WIDTH.to_bytes(4, "big") + HEIGHT.to_bytes(4, "big")
    return png_chunk(b"IHDR", size + bytes((depth, color_type, 0, 0, interlacing)))


def rows(count: int = HEIGHT, color: tuple[int, int, int] = (10, 200, 90)) -> bytes:
    return (b"\0" + bytes(color) * WIDTH) * count


def pixels(raw: bytes = rows()) -> bytes:
    return png_chunk(b"IDAT", zlib.compress(raw))


def png(*chunks: bytes, head: bytes = header()) -> bytes:
    return SIGNATURE + head + b"".join(chunks) + END


def wrong(chunk: bytes) -> bytes:
    """Return the chunk with a wrong checksum."""
    return chunk[:-1] + bytes((chunk[-1] ^ 1,))


def metadata(body: bytes) -> ImageMetadata:
    return inspect(body, ImagePolicy()).metadata


HARMLESS = {
    "wrong checksum of text": wrong(png_chunk(b"tEXt", b"Title\0text")),
    "wrong checksum of gamma": wrong(png_chunk(b"gAMA", b"\0\0\xb1\x8f")),
    "wrong checksum of a profile": wrong(png_chunk(b"iCCP", b"name\0\0" + zlib.compress(b"x"))),
    "short gamma": png_chunk(b"gAMA", b"\0"),
    "short resolution": png_chunk(b"pHYs", b"\0"),
    "short chromaticities": png_chunk(b"cHRM", b"\0"),
    "empty profile": png_chunk(b"iCCP", b""),
    "profile of unknown compression": png_chunk(b"iCCP", b"name\0\x07x"),
    "profile above 1 MiB": png_chunk(b"iCCP", b"name\0\0" + TOO_LONG),
    "text above 1 MiB": png_chunk(b"tEXt", b"Title\0" + b"x" * 1_100_000),
    "wrong checksum of EXIF": wrong(png_chunk(b"eXIf", b"MM\0*\0\0\0\x08\0\0")),
    "EXIF without a header": png_chunk(b"eXIf", b"x"),
    "short transparency": png_chunk(b"tRNS", b"\0"),
    "wrong checksum of transparency": wrong(png_chunk(b"tRNS", bytes(6))),
    "unknown chunk": png_chunk(b"abCd", b"x"),
}


@pytest.mark.parametrize("fault", HARMLESS)
def test_damage_in_an_ancillary_chunk_is_harmless(fault: str) -> None:
    """The image has the same pixels with such a chunk before them or after them. It is published as it is."""
    sound = metadata(png(pixels()))
    for body in (png(HARMLESS[fault], pixels()), png(pixels(), HARMLESS[fault])):
        inspected = inspect(body, ImagePolicy())
        assert inspected.body == body
        assert inspected.metadata.dominant_color == sound.dominant_color


def test_sound_transparency_counts() -> None:
    """A transparent image is white: the damaged chunks above do not make it so, a sound one does."""
    transparent = png_chunk(b"tRNS", b"\0\x0a\0\xc8\0\x5a")
    assert metadata(png(transparent, pixels())).dominant_color == "#ffffff"
    assert metadata(png(wrong(transparent), pixels())).dominant_color == "#0ac85a"


HARMFUL = {
    "wrong checksum of the header": png(pixels(), head=wrong(header())),
    "wrong checksum of pixels": png(wrong(pixels())),
    "wrong checksum of the end": SIGNATURE + header() + pixels() + wrong(END),
    "wrong checksum of a palette": png(wrong(png_chunk(b"PLTE", bytes(3))), pixels()),
    "wrong checksum of an unknown critical chunk": png(wrong(png_chunk(b"ABCD", b"")), pixels()),
    "two palettes": png(png_chunk(b"PLTE", bytes(3)) * 2, pixels()),
    "no palette": png(pixels(), head=header(color_type=3)),
    "palette of a fraction": png(png_chunk(b"PLTE", bytes(4)), pixels(), head=header(color_type=3)),
    "wrong depth": png(pixels(), head=header(depth=3)),
    "no pixels": png(),
    "a row missing": png(pixels(rows(HEIGHT - 1))),
    "a black row missing": png(pixels(rows(HEIGHT - 1, (0, 0, 0)))),
    "a byte missing": png(pixels(rows()[:-1])),
    "deflated data cut": png(png_chunk(b"IDAT", zlib.compress(rows())[:20])),
    "wrong checksum of deflated data": png(png_chunk(b"IDAT", wrong(zlib.compress(rows())))),
    "unknown filter": png(pixels(b"\x09" + rows()[1:])),
    "text between pixels": png(
        png_chunk(b"IDAT", zlib.compress(rows())[:20]),
        png_chunk(b"tEXt", b"a\0b"),
        png_chunk(b"IDAT", zlib.compress(rows())[20:]),
    ),
    "a chunk without a name": png(png_chunk(b"a1Cd", b""), pixels()),
    "a row missing in passes": png(
        pixels(bytes(ROW * HEIGHT // 2)), head=header(color_type=2, interlacing=1)
    ),
}


@pytest.mark.parametrize("fault", HARMFUL)
def test_damage_in_a_critical_chunk_is_corrupt(fault: str) -> None:
    with pytest.raises(CorruptImage):
        metadata(HARMFUL[fault])


def test_the_header_is_checked_without_decoding() -> None:
    """`header` reads no pixels, so it does not notice their checksums."""
    policy = ImagePolicy(verification="header")
    assert inspect(png(wrong(pixels())), policy).metadata.mode == "RGB"
    with pytest.raises(CorruptImage):
        inspect(png(pixels(), head=wrong(header())), policy)


def test_data_after_the_last_row_are_harmless() -> None:
    """libpng ignores them, within the deflated data and after it."""
    assert metadata(png(pixels(rows(HEIGHT + 1)))).dominant_color == "#0ac85a"
    assert metadata(png(pixels(), png_chunk(b"IDAT", b"more"))).dominant_color == "#0ac85a"


@pytest.mark.parametrize("last_row", [b"\0", b"\xff"])
@pytest.mark.parametrize("depth", [1, 2, 4, 8, 16])
def test_a_sound_image_has_all_rows(depth: int, last_row: bytes) -> None:
    """A last row of zeros is no missing row, at any depth."""
    size = (WIDTH * depth + 7) // 8
    raw = (b"\0" + b"\xff" * size) * (HEIGHT - 1) + b"\0" + last_row * size
    assert metadata(png(pixels(raw), head=header(depth, color_type=0))).height == HEIGHT


@pytest.mark.parametrize("name", [b"CgBI", b"ABCD"])
def test_a_critical_chunk_of_another_specification_is_unsupported(name: bytes) -> None:
    """Apple's variant begins with CgBI."""
    body = SIGNATURE + png_chunk(name, b"\0\0\0\0") + header() + pixels() + END
    with pytest.raises(UnsupportedFormat, match=name.decode()):
        metadata(body)


RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)
Chunks = list[bytes]


def control(sequence: int, size: tuple[int, int] = (WIDTH, HEIGHT)) -> bytes:
    numbers = (sequence, *size, 0, 0)
    payload = b"".join(number.to_bytes(4, "big") for number in numbers) + b"\0\1\0\x0a\0\0"
    return png_chunk(b"fcTL", payload)


def frame(sequence: int, color: tuple[int, int, int], count: int = HEIGHT) -> bytes:
    data = zlib.compress(rows(count, color))
    return png_chunk(b"fdAT", sequence.to_bytes(4, "big") + data)


def start(frames: int) -> bytes:
    return png_chunk(b"acTL", frames.to_bytes(4, "big") + bytes(4))


def animation() -> Chunks:
    """Return an animation whose first frame is the still image: red, green, blue."""
    still = pixels(rows(color=RED))
    return [start(3), control(0), still, control(1), frame(2, GREEN), control(3), frame(4, BLUE)]


def test_a_sound_animation_counts_all_frames() -> None:
    found = metadata(png(*animation()))
    assert (found.frames, found.dominant_color, found.animation_duration_ms) == (3, "#ff0000", 300)


def test_a_still_image_outside_the_animation_is_not_shown() -> None:
    """Frames, hash and colour are those of the animation. Its frames may be in pieces and smaller than the image."""
    data = zlib.compress(rows(color=GREEN))
    pieces = [
        png_chunk(b"fdAT", number.to_bytes(4, "big") + piece)
        for number, piece in ((1, data[:9]), (2, b""), (3, data[9:]))
    ]
    body = png(start(2), pixels(rows(color=RED)), control(0), *pieces, control(4), frame(5, BLUE))
    found = metadata(body)
    assert (found.frames, found.dominant_color) == (2, "#00ff00")
    first = decode_first_frame(PNG, body, read_structure(body))
    assert first.getcolors() == [(WIDTH * HEIGHT, GREEN)]


def replaced(index: int, chunk: bytes) -> Callable[[Chunks], Chunks]:
    return lambda chunks: [*chunks[:index], chunk, *chunks[index + 1 :]]


BROKEN: dict[str, Callable[[Chunks], Chunks]] = {
    "more frames declared": replaced(0, start(4)),
    "fewer frames declared": replaced(0, start(2)),
    "very many frames declared": replaced(0, start(2**31)),
    "no frame declared": replaced(0, start(0)),
    "short header": replaced(0, png_chunk(b"acTL", b"")),
    "wrong checksum of the header": replaced(0, wrong(start(3))),
    "two headers": lambda chunks: [start(3), *chunks],
    "header after the pixels": lambda chunks: [*chunks[1:3], chunks[0], *chunks[3:]],
    "wrong checksum of a control": replaced(3, wrong(control(1))),
    "short control": replaced(3, png_chunk(b"fcTL", b"\0\0\0\1")),
    "control without data": lambda chunks: [*chunks[:4], *chunks[5:]],
    "data without a control": lambda chunks: [*chunks[:3], *chunks[4:]],
    "numbers out of order": replaced(4, frame(7, GREEN)),
    "empty data": replaced(4, png_chunk(b"fdAT", b"")),
    "frame wider than the image": replaced(3, control(1, (WIDTH + 1, HEIGHT))),
    "frame without pixels": replaced(3, control(1, (0, HEIGHT))),
    "still image as a smaller frame": replaced(1, control(0, (WIDTH - 1, HEIGHT))),
    "wrong checksum of data": replaced(4, wrong(frame(2, GREEN))),
    "rows missing": replaced(6, frame(4, BLUE, HEIGHT - 1)),
    "data not deflated": replaced(4, png_chunk(b"fdAT", b"\0\0\0\2junk")),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_a_broken_animation_is_a_still_image(fault: str) -> None:
    body = png(*BROKEN[fault](animation()))
    found = metadata(body)
    assert (found.frames, found.animation_duration_ms, found.dominant_color) == (1, 0, "#ff0000")
    first = decode_first_frame(PNG, body, read_structure(body))
    assert first.getcolors() == [(WIDTH * HEIGHT, RED)]


@pytest.mark.parametrize("still", [wrong(pixels()), pixels(rows(HEIGHT - 1))])
def test_a_damaged_still_image_is_corrupt_despite_its_animation(still: bytes) -> None:
    """Readers without animations show it, whether it belongs to the animation or not."""
    with pytest.raises(CorruptImage):
        metadata(png(*replaced(2, still)(animation())))
    with pytest.raises(CorruptImage):
        metadata(png(start(1), still, control(0), frame(1, GREEN)))


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "LA", "I;16"])
def test_the_mode_is_that_of_pillow(mode: str) -> None:
    """The header tells it."""
    out = BytesIO()
    Image.new(mode, (5, 5)).save(out, "PNG")
    with Image.open(BytesIO(out.getvalue())) as image:
        assert metadata(out.getvalue()).mode == image.mode
