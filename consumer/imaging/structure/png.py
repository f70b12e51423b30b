"""PNG and APNG: reads the chunks (PNG specification, third edition, sections 5 and 11)."""

import zlib
from collections.abc import Iterable

from consumer.imaging.structure.image_structure import (
    ImageStructure,
    Segment,
    append_bounded,
    shown_ms,
)
from core.errors import CorruptImage, UnsupportedFormat

_SIGNATURE_SIZE = 8
_HEADER_SIZE = 13
_CHUNK_OVERHEAD = 12
"""Bytes of a chunk beside its payload: length, type and checksum."""
_MODES = {
    (1, 0): "1",
    **dict.fromkeys(((2, 0), (4, 0), (8, 0)), "L"),
    (16, 0): "I;16",
    **dict.fromkeys(((8, 2), (16, 2)), "RGB"),
    **dict.fromkeys(((1, 3), (2, 3), (4, 3), (8, 3)), "P"),
    (8, 4): "LA",
    **dict.fromkeys(((16, 4), (8, 6), (16, 6)), "RGBA"),
}
"""Pillow's name of the decoded image, by bit depth and colour type (section 11.2.1)."""
_LAYOUTS = {
    **dict.fromkeys(("1", "L"), "gray"),
    "I;16": "gray, 16 bits",
    "P": "palette",
    "LA": "gray with alpha",
    "RGB": "RGB",
    "RGBA": "RGB with alpha",
}
_CRITICAL = frozenset({b"IHDR", b"PLTE", b"IDAT", b"IEND"})
_CRITICAL_LETTERS = range(ord("A"), ord("Z") + 1)
"""The first letter of a chunk that no reader may ignore (section 5.4)."""
_PIXELS = frozenset({b"IDAT", b"fdAT"})
_ACTL_SIZE, _FCTL_SIZE = 8, 26
SEQUENCE_SIZE = 4
_FCTL_DELAY, _FCTL_DISPOSAL, _FCTL_BLENDING = 20, 24, 25
_DISPOSAL_MAX = 2
_FCTL_DEFAULT_DENOMINATOR = 100


def read_structure(body: bytes, *, accept_missing_end: bool = False) -> ImageStructure:
    """Read every chunk. Checks the checksums of the header and of the palette.

    An animation counts only if its control chunks are sound: otherwise the still image is shown.
    accept_missing_end: the image may end after a chunk of pixels. What follows its last whole chunk is no part of it.

    Raises CorruptImage unless the image begins with its only header and has an end chunk. Raises UnsupportedFormat for
    a critical chunk of another specification.
    """
    chunks: list[Segment] = []
    at, missing_end = _SIGNATURE_SIZE, False
    while not (chunks and chunks[-1].name == b"IEND"):
        size, name = int.from_bytes(body[at : at + 4], "big"), body[at + 4 : at + 8]
        stop = at + _CHUNK_OVERHEAD + size
        if stop > len(body):
            missing_end = accept_missing_end and name not in _PIXELS
            if missing_end:
                break
            raise CorruptImage("a chunk is cut short")
        append_bounded(chunks, Segment(name, at, stop, at + 8, size))
        at = stop
    return _to_structure(body, chunks, end=at, missing_end=missing_end)


def encode_chunk(name: bytes, payload: bytes) -> bytes:
    """Return a chunk with its length and its checksum (section 5.3)."""
    checksum = zlib.crc32(payload, zlib.crc32(name))
    return len(payload).to_bytes(4, "big") + name + payload + checksum.to_bytes(4, "big")


def has_valid_checksum(body: bytes, chunk: Segment) -> bool:
    """Compare the stored checksum with that of the type and the payload (section 5.5)."""
    checksum = zlib.crc32(memoryview(body)[chunk.start + 4 : chunk.stop - 4])
    return checksum == int.from_bytes(body[chunk.stop - 4 : chunk.stop], "big")


def _to_structure(
    body: bytes, chunks: list[Segment], *, end: int, missing_end: bool
) -> ImageStructure:
    names = [chunk.name for chunk in chunks]
    _check_names(body, chunks)
    if names[:1] != [b"IHDR"] or names.count(b"IHDR") != 1 or chunks[0].size != _HEADER_SIZE:
        raise CorruptImage("it does not begin with one header")
    check_checksums(body, (chunk for chunk in chunks if chunk.name in {b"IHDR", b"PLTE"}))
    header = chunks[0].payload(body)
    mode = _MODES.get((header[8], header[9]))
    if mode is None or header[10] or header[11] or header[12] > 1:
        raise CorruptImage("its header has values that no PNG has")
    width, height = int.from_bytes(header[:4], "big"), int.from_bytes(header[4:8], "big")
    animated = b"acTL" in names and _is_sound_animation(body, chunks, (width, height))
    frames = names.count(b"fcTL") if animated else 1
    hidden = int(animated and names.index(b"IDAT") < names.index(b"fcTL"))
    area = width * height
    return ImageStructure(
        width,
        height,
        frames,
        (frames + hidden) * area,
        area,
        end,
        tuple(chunks),
        layout=_LAYOUTS[mode],
        hidden_frames=hidden,
        mode=mode,
        missing_end=missing_end,
        duration_ms=_duration_ms(body, chunks) if animated else 0,
    )


def _check_names(body: bytes, chunks: Iterable[Segment]) -> None:
    for chunk in chunks:
        if chunk.name in _CRITICAL:
            continue
        if not chunk.name.isalpha():
            raise CorruptImage("a chunk has no name")
        if chunk.name[0] in _CRITICAL_LETTERS:
            check_checksums(body, (chunk,))
            raise UnsupportedFormat(f"PNG with {chunk.name.decode('ascii')} chunks")


def check_checksums(body: bytes, chunks: Iterable[Segment]) -> None:
    """Raise CorruptImage if the checksum of a chunk is wrong."""
    for chunk in chunks:
        if not has_valid_checksum(body, chunk):
            raise CorruptImage(f"the checksum of an {chunk.name.decode('ascii')} chunk is wrong")


def _is_sound_animation(body: bytes, chunks: list[Segment], size: tuple[int, int]) -> bool:
    """Check the control chunks of an animation: their checksums, numbers and regions (section 11.3.6).

    Does not check the checksums of the frames' data.
    """
    declared = sequence = frames = 0
    has_pixels = in_frame = awaits_data = False
    for chunk in chunks:
        if chunk.name == b"acTL":
            if declared or has_pixels:
                return False
            declared = _declared_frames(body, chunk)
        elif chunk.name == b"IDAT":
            has_pixels, awaits_data = True, False
        elif chunk.name in {b"fcTL", b"fdAT"}:
            if _sequence_number(body, chunk) != sequence:
                return False
            sequence += 1
            if chunk.name == b"fdAT":
                if not in_frame:
                    return False
                awaits_data = False
            else:
                # The still image is the first frame if a control precedes it.
                if awaits_data or not _is_sound_control(body, chunk, size, whole=not has_pixels):
                    return False
                in_frame, awaits_data, frames = has_pixels, True, frames + 1
    return not awaits_data and 0 < declared == frames


def _declared_frames(body: bytes, chunk: Segment) -> int:
    if chunk.size != _ACTL_SIZE or not has_valid_checksum(body, chunk):
        return 0
    return int.from_bytes(chunk.payload(body)[:4], "big")


def _sequence_number(body: bytes, chunk: Segment) -> int:
    number = body[chunk.data : chunk.data + SEQUENCE_SIZE]
    return int.from_bytes(number, "big") if chunk.size >= SEQUENCE_SIZE else -1


def _is_sound_control(body: bytes, chunk: Segment, size: tuple[int, int], *, whole: bool) -> bool:
    """Check a frame control. whole: the frame is the still image, so it has the whole size."""
    if chunk.size != _FCTL_SIZE or not has_valid_checksum(body, chunk):
        return False
    payload = chunk.payload(body)
    width, height, left, top = (
        int.from_bytes(payload[at : at + 4], "big") for at in (4, 8, 12, 16)
    )
    if whole and (width, height, left, top) != (*size, 0, 0):
        return False
    return (
        0 < width <= size[0] - left
        and 0 < height <= size[1] - top
        and payload[_FCTL_DISPOSAL] <= _DISPOSAL_MAX
        and payload[_FCTL_BLENDING] <= 1
    )


def _duration_ms(body: bytes, chunks: list[Segment]) -> int:
    """Sum the delays of the frame controls: fractions of a second, whose denominator 0 means 100."""
    total = 0.0
    for chunk in chunks:
        if chunk.name == b"fcTL":
            delay = chunk.payload(body)[_FCTL_DELAY : _FCTL_DELAY + 4]
            numerator, denominator = (
                int.from_bytes(delay[:2], "big"),
                int.from_bytes(delay[2:], "big"),
            )
            total += shown_ms(1000 * numerator / (denominator or _FCTL_DEFAULT_DENOMINATOR))
    return round(total)
