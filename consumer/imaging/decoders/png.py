"""Gives Pillow a copy of a PNG that has only the parts of the still image or of its frames.

Pillow refuses an image for damage in any chunk, but readers ignore it in chunks that are not critical. Pillow does not
check the checksums of pixels.
"""

import zlib
from collections.abc import Iterable, Iterator, Sequence
from functools import reduce
from itertools import pairwise, takewhile

from PIL import ImageFile

from consumer.imaging.structure import ImageStructure, Segment
from consumer.imaging.structure.png import (
    SEQUENCE_SIZE,
    check_checksums,
    encode_chunk,
    has_valid_checksum,
)
from core.errors import CorruptImage

_SIGNATURE_SIZE = 8
_BIT_DEPTH, _COLOR_TYPE, _INTERLACING = 8, 9, 12
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""By colour type."""
_ONE_PASS = ((0, 0, 1, 1),)
_PASSES = (
    (0, 0, 8, 8),
    (4, 0, 8, 8),
    (0, 4, 4, 8),
    (2, 0, 4, 4),
    (0, 2, 2, 4),
    (1, 0, 2, 2),
    (0, 1, 1, 2),
)
"""Left, top, and distances of the pixels in each pass (section 8.1)."""
_FRAME_SIZE = slice(SEQUENCE_SIZE, SEQUENCE_SIZE + 8)
"""Width and height in a frame control."""
_INFLATE_MAX = 65_536
_INDEXED = 3
_TRANSPARENCY_SIZES: dict[int, Sequence[int]] = {0: (2,), 2: (6,), 4: (), 6: ()}
"""Bytes of a tRNS chunk by colour type; one for each entry of a palette (section 11.3.1.1)."""
_ENTRY_SIZE, _ENTRIES_MAX = 3, 256


def still_copy(body: bytes, structure: ImageStructure) -> bytes:
    """Return the still image: critical chunks, and transparency that is sound. structure: of this body.

    Raises CorruptImage for a wrong checksum of a critical chunk, for pixels that are missing or not together, and for a
    missing palette.
    """
    pixels = _pixels(structure.segments)
    check_checksums(body, (*pixels, *_end(structure)))
    data = memoryview(body)[pixels[0].start : pixels[-1].stop]
    return b"".join((_header(body, structure.segments), data, _END))


def first_frame_copy(body: bytes, structure: ImageStructure) -> bytes:
    """Return the animation with its first frame only, after a check of all frames. structure: of this body.

    Raises CorruptImage like `still_copy`, and for damaged data of a frame.
    """
    control = next(chunk for chunk in structure.segments if chunk.name == b"acTL")
    chunks = [chunk for chunk in structure.segments if chunk.name in {b"fcTL", b"fdAT"}]
    if not structure.hidden_frames:
        chunks[1:1] = _pixels(structure.segments)
    check_checksums(body, (*chunks, *_end(structure)))
    _check_frames(body, structure, chunks)
    first = takewhile(lambda chunk: chunk.name != b"fcTL", chunks[1:])
    header = _header(body, structure.segments), body[control.start : control.stop]
    frame_control = encode_chunk(b"fcTL", bytes(SEQUENCE_SIZE) + _frame_data(body, chunks[0]))
    return b"".join((*header, frame_control, *_pixel_chunk(body, first), _END))


def later_copies(body: bytes, structure: ImageStructure) -> Iterator[bytes]:
    """Yield each frame of the animation but the first as a still image. structure: of this body.

    Pillow would draw them on a canvas, of which it keeps up to four.
    """
    chunks = [chunk for chunk in structure.segments if chunk.name in {b"fcTL", b"fdAT"}]
    controls = [at for at, chunk in enumerate(chunks) if chunk.name == b"fcTL"]
    header = _header(body, structure.segments)
    for start, stop in pairwise((*controls[1:], len(chunks))):
        size = chunks[start].payload(body)[_FRAME_SIZE]
        yield b"".join(
            (
                header[:_SIGNATURE_SIZE],
                encode_chunk(b"IHDR", size + structure.segments[0].payload(body)[len(size) :]),
                header[structure.segments[0].stop :],
                *_pixel_chunk(body, chunks[start + 1 : stop]),
                _END,
            )
        )


def check_rows(image: ImageFile.ImageFile, body: bytes, structure: ImageStructure) -> None:
    """Raise CorruptImage if the loaded still image lacks rows. structure: of this body.

    Pillow accepts pixels that end too early, and leaves the rest zero.
    """
    header = structure.segments[0].payload(body)
    last_row = (0, image.height - 1, image.width, image.height)
    if header[_INTERLACING] or not image.crop(last_row).tobytes().strip(b"\0"):
        data = (_frame_data(body, chunk) for chunk in _pixels(structure.segments))
        _check_size(data, _raw_size(header, structure.width, structure.height))


def _check_frames(body: bytes, structure: ImageStructure, chunks: list[Segment]) -> None:
    """Raise CorruptImage if a frame lacks rows. chunks: each control with its data."""
    header = structure.segments[0].payload(body)
    controls = [at for at, chunk in enumerate(chunks) if chunk.name == b"fcTL"]
    for start, stop in pairwise((*controls, len(chunks))):
        control = chunks[start].payload(body)
        width, height = int.from_bytes(control[4:8], "big"), int.from_bytes(control[8:12], "big")
        data = (_frame_data(body, chunk) for chunk in chunks[start + 1 : stop])
        _check_size(data, _raw_size(header, width, height))


def _frame_data(body: bytes, chunk: Segment) -> memoryview:
    """Return the payload of a chunk of a frame without its sequence number."""
    start = chunk.data if chunk.name == b"IDAT" else chunk.data + SEQUENCE_SIZE
    return memoryview(body)[start : chunk.data + chunk.size]


def _raw_size(header: bytes, width: int, height: int) -> int:
    """Return the bytes of filtered rows in all passes (sections 7.2 and 8.1)."""
    bits = header[_BIT_DEPTH] * _CHANNELS[header[_COLOR_TYPE]]
    total = 0
    for left, top, across, down in _PASSES if header[_INTERLACING] else _ONE_PASS:
        columns, rows = -(-(width - left) // across), -(-(height - top) // down)
        total += max(rows, 0) * (1 + (columns * bits + 7) // 8) if columns > 0 else 0
    return total


def _check_size(data: Iterable[memoryview], size: int) -> None:
    inflater, left = zlib.decompressobj(), size
    for piece in _small_pieces(data):
        rest: bytes | memoryview = piece
        while rest and left > 0:
            left -= len(inflater.decompress(rest, min(left, _INFLATE_MAX)))
            rest = inflater.unconsumed_tail
    if left > 0:
        raise CorruptImage("its pixels end too early")


def _small_pieces(data: Iterable[memoryview]) -> Iterator[memoryview]:
    """Cut the data, because each call of the inflater copies what it leaves of its input."""
    for piece in data:
        for at in range(0, len(piece), _INFLATE_MAX):
            yield piece[at : at + _INFLATE_MAX]


def _end(structure: ImageStructure) -> tuple[Segment, ...]:
    return () if structure.missing_end else structure.segments[-1:]


def _pixels(chunks: Sequence[Segment]) -> list[Segment]:
    """Return the first chunks of pixels that are together. Readers take no others (section 5.6)."""
    first = next((at for at, chunk in enumerate(chunks) if chunk.name == b"IDAT"), len(chunks))
    pixels = list(takewhile(lambda chunk: chunk.name == b"IDAT", chunks[first:]))
    if not pixels:
        raise CorruptImage("it has no pixels")
    return pixels


def _header(body: bytes, chunks: Sequence[Segment]) -> bytes:
    """Return the signature, the header, the palette and the transparency."""
    before = list(takewhile(lambda chunk: chunk.name != b"IDAT", chunks))
    kept = before[:1]
    if sum(chunk.name == b"PLTE" for chunk in before) > 1:
        raise CorruptImage("it has more than one palette")
    color_type = body[before[0].data + _COLOR_TYPE]
    entries = 0
    if color_type == _INDEXED:
        kept += (chunk for chunk in before if chunk.name == b"PLTE")
        entries, rest = divmod(kept[-1].size, _ENTRY_SIZE)
        if kept[-1].name != b"PLTE" or rest or not 0 < entries <= _ENTRIES_MAX:
            raise CorruptImage("it has no palette")
    sizes = _TRANSPARENCY_SIZES.get(color_type, range(1, entries + 1))
    for chunk in before:
        # As in libpng: one that is damaged or out of place is ignored, and the image is opaque.
        if (
            chunk.name == b"tRNS"
            and chunk.start > kept[-1].start
            and chunk.size in sizes
            and has_valid_checksum(body, chunk)
        ):
            kept.append(chunk)
            break
    return body[:_SIGNATURE_SIZE] + b"".join(body[chunk.start : chunk.stop] for chunk in kept)


def _pixel_chunk(body: bytes, chunks: Iterable[Segment]) -> Iterator[bytes | memoryview]:
    """Yield the pieces of one chunk of pixels, without a copy of them."""
    data = [_frame_data(body, chunk) for chunk in chunks]
    checksum = reduce(lambda crc, piece: zlib.crc32(piece, crc), data, zlib.crc32(b"IDAT"))
    yield sum(map(len, data)).to_bytes(4, "big") + b"IDAT"
    yield from data
    yield checksum.to_bytes(4, "big")


_END = encode_chunk(b"IEND", b"")
