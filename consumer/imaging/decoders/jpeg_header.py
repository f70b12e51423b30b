"""Cleans the header of a JPEG: removes stray bytes and metadata, and replaces odd values that readers ignore.

libjpeg-turbo warns about each of these, and every reader accepts them.
"""

from consumer.imaging.structure import ImageStructure, Segment
from consumer.imaging.structure.jpeg import FRAME_HEADERS, PROGRESSIVE, SOS

_APP0, _COMMENT, _APP14 = 0xE0, 0xFE, 0xEE
_METADATA = frozenset({*range(_APP0, 0xF0), _COMMENT})
_JFIF, _JFIF_SIZE, _JFIF_MAJOR = b"JFIF\0", 14, 5
_ADOBE, _ADOBE_SIZE, _ADOBE_TRANSFORM = b"Adobe", 12, 11
_YCC, _YCCK = 1, 2
_SEQUENTIAL_SCAN = b"\x00\x3f\x00"
"""All coefficients, at full precision: the only values of a sequential scan (T.81, table B.3)."""
_COMMON_LUMA = frozenset({0x11, 0x21, 0x22, 0x12, 0x41, 0x14})
_BLOCKS_MAX = 10
"""D_MAX_BLOCKS_IN_MCU of libjpeg."""
_DOUBLED_LUMA, _DOUBLED_CHROMA = 0x22, ({0x12}, {0x21})
"""4:2:2 and 4:4:0 with doubled factors."""


def clean_header(body: bytes, structure: ImageStructure) -> bytes:
    """Return a JPEG with only the segments that a decoder needs before the first scan. structure: of this body.

    Scans and the bytes between them stay as they are: stray bytes there are a sign of damage.
    """
    first_scan = next(index for index, each in enumerate(structure.segments) if each.name[0] == SOS)
    header = structure.segments[: first_scan + 1]
    pieces = [body[:2]]
    pieces += [_clean_segment(body, segment, structure) for segment in header]
    pieces.append(body[header[-1].stop :])
    return b"".join(pieces)


def has_common_sampling(body: bytes, structure: ImageStructure) -> bool:
    """Return whether TurboJPEG's interface has the chroma subsampling of this image (`getSubsamp` in turbojpeg.c).

    That is 4:4:4, 4:2:2, 4:2:0, 4:4:0, 4:1:1 and 4:4:1, some of them also with doubled factors.
    """
    # One byte for each component: the horizontal factor, then the vertical one, of four bits each.
    factors = _frame_header(structure).payload(body)[7::3]
    luma, chroma = factors[0], set(factors[1:3])
    if len(factors) == 1:
        return True
    if factors[3:] not in (b"", factors[:1]):
        return False
    if chroma == {luma}:
        return (luma >> 4) * (luma & 15) * len(factors) <= _BLOCKS_MAX
    return (luma in _COMMON_LUMA and chroma == {0x11}) or (
        luma == _DOUBLED_LUMA and chroma in _DOUBLED_CHROMA
    )


def _frame_header(structure: ImageStructure) -> Segment:
    return next(each for each in structure.segments if each.name[0] in FRAME_HEADERS)


def _clean_segment(body: bytes, segment: Segment, structure: ImageStructure) -> bytes:
    marker, payload = segment.name[0], segment.payload(body)
    if marker == _APP0 and payload.startswith(_JFIF) and len(payload) >= _JFIF_SIZE:
        payload = _with_byte(payload, _JFIF_MAJOR, 1)
    elif marker == _APP14 and payload.startswith(_ADOBE) and len(payload) >= _ADOBE_SIZE:
        if payload[_ADOBE_TRANSFORM]:
            # libjpeg assumes this for an unknown transformation.
            transform = _YCCK if structure.mode == "CMYK" else _YCC
            payload = _with_byte(payload, _ADOBE_TRANSFORM, transform)
    elif marker in _METADATA:
        return b""
    elif marker == SOS and _frame_header(structure).name[0] not in PROGRESSIVE:
        payload = payload[:-3] + _SEQUENTIAL_SCAN
    return b"\xff" + segment.name + (len(payload) + 2).to_bytes(2, "big") + payload


def _with_byte(payload: bytes, at: int, value: int) -> bytes:
    return payload[:at] + bytes((value,)) + payload[at + 1 :]
