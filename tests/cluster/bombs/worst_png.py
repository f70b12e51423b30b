"""PNG files that take much time or memory for each byte."""

import zlib
from collections.abc import Iterator

from harness.images import gradient_image, png_chunk, png_with

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_ADAM7 = (
    (0, 0, 8, 8),
    (4, 0, 8, 8),
    (0, 4, 4, 8),
    (2, 0, 4, 4),
    (0, 2, 2, 4),
    (1, 0, 2, 2),
    (0, 1, 1, 2),
)
_MIB = 1 << 20


def flat(
    width: int, height: int, color_type: int, depth: int = 8, *, interlaced: bool = False
) -> bytes:
    """Return an image of one colour; gray, or with alpha, of a colour type of PNG."""
    return _file(
        _header(width, height, color_type, depth, interlaced=interlaced),
        (b"IDAT", _pixels(width, height, color_type, depth, interlaced=interlaced)),
    )


def animated(canvas: tuple[int, int], frame: tuple[int, int], frames: int) -> bytes:
    """Return an animation whose first frame fills the canvas. Each other frame has the size `frame`."""
    chunks = [
        _header(*canvas, 6),
        (b"acTL", frames.to_bytes(4, "big") + bytes(4)),
        (b"fcTL", _frame_control(0, canvas)),
        (b"IDAT", _pixels(*canvas, 6)),
    ]
    data = _pixels(*frame, 6)
    for number in range(1, frames):
        sequence = 2 * number - 1
        chunks.append((b"fcTL", _frame_control(sequence, frame)))
        chunks.append((b"fdAT", (sequence + 1).to_bytes(4, "big") + data))
    return _file(*chunks)


def with_texts(size: int) -> bytes:
    """Return a small image whose `size` bytes of texts inflate to a thousand times as much."""
    text = zlib.compress(bytes(900 * _MIB), 9)
    chunk = png_chunk(b"zTXt", b"Comment\0\0" + text)
    return png_with(*[chunk] * (size // len(chunk)), body=gradient_image("PNG"))


def with_many_texts(count: int) -> bytes:
    """Return a small image with short texts. Each names a property of a location."""
    text = zlib.compress(b"exif:GPSLatitud" * 4)
    chunk = png_chunk(b"zTXt", b"Raw profile type xmp\0\0" + text)
    return png_with(*[chunk] * count, body=gradient_image("PNG"))


def with_profile(size: int) -> bytes:
    """Return a small image whose colour profile of `size` bytes inflates to a thousand times as much."""
    packer = zlib.compressobj(9)
    block = bytes(16 * _MIB)
    first, later = (packer.compress(block) + packer.flush(zlib.Z_SYNC_FLUSH) for _ in range(2))
    # The same bytes again stand for another block of zeros. The checksum is wrong, but no reader reaches it.
    data = b"icc\0\0" + first + later * ((size - len(first)) // len(later))
    return png_with(png_chunk(b"iCCP", data), body=gradient_image("PNG"))


def _header(
    width: int, height: int, color_type: int, depth: int = 8, *, interlaced: bool = False
) -> tuple[bytes, bytes]:
    sides = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    return b"IHDR", sides + bytes((depth, color_type, 0, 0, interlaced))


def _frame_control(sequence: int, size: tuple[int, int]) -> bytes:
    numbers = (sequence, *size, 0, 0)
    # A tenth of a second; restore the background (1) and blend (1).
    return b"".join(each.to_bytes(4, "big") for each in numbers) + b"\0\1\0\x0a\1\1"


def _pixels(
    width: int, height: int, color_type: int, depth: int = 8, *, interlaced: bool = False
) -> bytes:
    packer = zlib.compressobj(9)
    passes = _ADAM7 if interlaced else ((0, 0, 1, 1),)
    parts = []
    for left, top, right, down in passes:
        columns, rows = -(-(width - left) // right), -(-(height - top) // down)
        if columns > 0:
            # The Paeth filter is the slowest one.
            row = b"\x04" + bytes(-(-columns * _SAMPLES[color_type] * depth // 8))
            parts += [packer.compress(part) for part in _repeated(row, rows)]
    return b"".join(parts) + packer.flush()


def _repeated(row: bytes, count: int) -> Iterator[bytes]:
    """Return `count` rows in parts of about 1 MiB."""
    at_once = max(1, _MIB // len(row))
    for _ in range(count // at_once):
        yield row * at_once
    yield row * (count % at_once)


def _file(*chunks: tuple[bytes, bytes]) -> bytes:
    return _SIGNATURE + b"".join(png_chunk(*each) for each in (*chunks, (b"IEND", b"")))
