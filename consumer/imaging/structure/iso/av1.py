"""AV1: reads the units of a coded sequence, its maximum frame size and its samples (AV1 specification, section 5)."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from core.errors import CorruptImage

SEQUENCE_HEADER = 1
FRAME_HEADER, FRAME = 3, 6
"""Each begins a frame. A frame header may also show a frame that was decoded before. OBU_TILE_GROUP and
OBU_REDUNDANT_FRAME_HEADER continue a frame (section 6.2.2)."""
SEQUENCE_HEADER_MAX = 512
"""Bytes of a sequence header that are read: with 32 operating points it has 420."""
_SHOW_EXISTING = 0x80
_EXTENSION, _HAS_SIZE = 0x04, 0x02
_LEB128_MAX = 8
_TIERED_LEVEL = 7
_ZEROS_MAX = 32
_HIGH, _PROFESSIONAL = 1, 2
"""Profiles: 4:4:4, and 4:2:2 or 12 bits (section 6.4.1)."""
_SRGB = 1 << 16 | 13 << 8
"""Colour primaries, transfer and matrix coefficients of sRGB, which has no subsampling and no colour range."""


def iter_obus(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield type and payload of each open bitstream unit (OBU). Raises CorruptImage if one is cut short."""
    at = 0
    while at < len(data):
        header = data[at]
        at += 2 if header & _EXTENSION else 1
        size = len(data) - at
        if header & _HAS_SIZE:
            size, at = _read_leb128(data, at)
        if size < 0 or at + size > len(data):
            raise CorruptImage("its coded image is cut short")
        yield header >> 3 & 0x0F, data[at : at + size]
        at += size


def _read_leb128(data: bytes, at: int) -> tuple[int, int]:
    number = 0
    for index, byte in enumerate(data[at : at + _LEB128_MAX]):
        number |= (byte & 0x7F) << index * 7
        if byte < 0x80:  # noqa: PLR2004 - the continuation bit
            return number, at + index + 1
    raise CorruptImage("its coded image is cut short")


@dataclass(slots=True)
class _Bits:
    """Reads a sequence header bit by bit. It is a few dozen bytes long."""

    data: bytes
    at: int = 0

    def read(self, count: int) -> int:
        stop = self.at + count
        if stop > len(self.data) * 8:
            raise CorruptImage("its sequence header is cut short")
        window = int.from_bytes(self.data[self.at // 8 : (stop + 7) // 8], "big")
        self.at = stop
        return window >> -stop % 8 & (1 << count) - 1

    def skip_uvlc(self) -> None:
        zeros = 0
        while not self.read(1):
            zeros += 1
        if zeros < _ZEROS_MAX:
            self.read(zeros)


def shows_existing_frame(header: bytes) -> bool:
    """Read show_existing_frame from the payload of a frame header (section 5.9.2). A still image may lack this bit."""
    return bool(header) and header[0] >= _SHOW_EXISTING


class SequenceHeader(NamedTuple):
    """width, height: maximum size of a frame in pixels.

    depth: bits of a sample: 8, 10 or 12.
    chroma: samples of both chroma planes together per pixel: 0, 0.5, 1 or 2.
    """

    width: int
    height: int
    depth: int
    chroma: float


def read_sequence_header(header: bytes) -> SequenceHeader:
    """Read the payload of a sequence header (section 5.5). Raises CorruptImage."""
    bits = _Bits(header)
    profile = bits.read(3)
    bits.read(1)
    reduced = bits.read(1)
    if reduced:
        bits.read(5)
    else:
        _skip_operating_points(bits)
    width_bits, height_bits = 1 + bits.read(4), 1 + bits.read(4)
    width, height = 1 + bits.read(width_bits), 1 + bits.read(height_bits)
    _skip_tools(bits, reduced=bool(reduced))
    return SequenceHeader(width, height, *_read_color_config(bits, profile))


def _skip_operating_points(bits: _Bits) -> None:
    delay_bits = _skip_timing(bits) if bits.read(1) else 0
    display_delays = bits.read(1)
    for _ in range(1 + bits.read(5)):
        bits.read(12)
        if bits.read(5) > _TIERED_LEVEL:
            bits.read(1)
        if delay_bits and bits.read(1):
            bits.read(2 * delay_bits + 1)
        if display_delays and bits.read(1):
            bits.read(4)


def _skip_timing(bits: _Bits) -> int:
    """Return the number of bits in each delay of the decoder model, 0 without a decoder model."""
    bits.read(64)
    if bits.read(1):
        bits.skip_uvlc()
    if not bits.read(1):
        return 0
    delay_bits = 1 + bits.read(5)
    bits.read(42)
    return delay_bits


def _skip_tools(bits: _Bits, *, reduced: bool) -> None:
    """Skip frame numbers and the switches of coding tools."""
    if not reduced and bits.read(1):
        bits.read(7)
    bits.read(3)
    if not reduced:
        bits.read(4)
        order_hint = bits.read(1)
        bits.read(2 * order_hint)
        screen_content = bits.read(1) or bits.read(1)
        # seq_choose_integer_mv, and seq_force_integer_mv if that is not set
        if screen_content and not bits.read(1):
            bits.read(1)
        bits.read(3 * order_hint)
    bits.read(3)


def _read_color_config(bits: _Bits, profile: int) -> tuple[int, float]:
    """Read depth and chroma (section 5.5.2)."""
    high = bits.read(1)
    depth = 10 if high else 8
    if profile == _PROFESSIONAL and high and bits.read(1):
        depth = 12
    mono = profile != _HIGH and bits.read(1)
    description = bits.read(24) if bits.read(1) else 0
    if mono:
        return depth, 0
    if description == _SRGB:
        return depth, 2
    bits.read(1)
    return depth, _chroma(bits, profile, depth)


def _chroma(bits: _Bits, profile: int, depth: int) -> float:
    if profile != _PROFESSIONAL:
        return 2 if profile == _HIGH else 0.5
    if depth != 12:  # noqa: PLR2004 - only 12 bits have a choice
        return 1
    if not bits.read(1):
        return 2
    return 0.5 if bits.read(1) else 1
