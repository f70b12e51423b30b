"""HEVC: reads the units of a coded picture, and its size and samples (ITU-T H.265; ISO/IEC 14496-15, 8.3.3)."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from core.errors import CorruptImage

SEQUENCE_PARAMETERS = 33
_SLICES = range(32)
"""Types of units that hold a part of a picture (table 7-1)."""
_UNIT_HEADER = 2
_FIRST_SLICE = 0x80
_CONFIGURATION_SIZE = 22
_LENGTH_SIZE_AT = 21
_TYPE = 0x3F
_FOUR_CHROMA = 3
_CHROMA = {0: 0.0, 1: 0.5, 2: 1.0, _FOUR_CHROMA: 2.0}
"""Samples of both chroma planes together per pixel, by chroma_format_idc (table 6-1)."""
_ZEROS_MAX = 32
_PARAMETERS_MAX = 256
"""Bytes of sequence parameters that are read. Size and samples are among the first 240."""
_PARAMETER_SETS_MAX = 4_096
_UNITS_MAX = 10_000
"""Units of a decoder configuration."""
_PROFILE_BITS, _LEVEL_BITS = 88, 8


class Parameters(NamedTuple):
    """width, height: of the coded picture in pixels, before cropping.

    depth: bits of a sample. chroma: samples of both chroma planes together per pixel.
    """

    width: int
    height: int
    depth: int
    chroma: float


class Configuration(NamedTuple):
    """length_size: bytes of the length before each unit in an item. units: of the configuration itself."""

    length_size: int
    units: tuple[bytes, ...]


def read_configuration(record: bytes) -> Configuration:
    """Read the decoder configuration of an item. Raises CorruptImage if it is cut short."""
    if len(record) <= _CONFIGURATION_SIZE:
        raise CorruptImage("its decoder configuration is cut short")
    units, at = list[bytes](), _CONFIGURATION_SIZE + 1
    for _ in range(record[_CONFIGURATION_SIZE]):
        count = int.from_bytes(record[at + 1 : at + 3], "big")
        at += 3
        if len(units) + count > _UNITS_MAX:
            raise CorruptImage(f"more than {_UNITS_MAX:,} units in a decoder configuration")
        for _ in range(count):
            size = int.from_bytes(record[at : at + 2], "big")
            units.append(record[at + 2 : at + 2 + size])
            at += 2 + size
            if at > len(record):
                raise CorruptImage("its decoder configuration is cut short")
    return Configuration((record[_LENGTH_SIZE_AT] & 3) + 1, tuple(units))


def iter_units(data: bytes, length_size: int) -> Iterator[bytes]:
    """Yield each unit of an item. Raises CorruptImage if one is cut short."""
    at = 0
    while at < len(data):
        size = int.from_bytes(data[at : at + length_size], "big")
        at += length_size
        if at + size > len(data):
            raise CorruptImage("its coded image is cut short")
        yield data[at : at + size]
        at += size


def unit_type(unit: bytes) -> int:
    return unit[0] >> 1 & _TYPE if unit else -1


def begins_picture(unit: bytes) -> bool:
    """Read first_slice_segment_in_pic_flag (section 7.3.6.1)."""
    return unit_type(unit) in _SLICES and len(unit) > _UNIT_HEADER and unit[2] >= _FIRST_SLICE


@dataclass(slots=True)
class _Bits:
    """Reads sequence parameters bit by bit."""

    number: int
    left: int

    def read(self, count: int) -> int:
        if count > self.left:
            raise CorruptImage("its sequence parameters are cut short")
        self.left -= count
        return self.number >> self.left & (1 << count) - 1

    def read_golomb(self) -> int:
        """Read an unsigned number of variable length, ue(v) (section 9.2)."""
        zeros = 0
        while not self.read(1):
            zeros += 1
            if zeros > _ZEROS_MAX:
                raise CorruptImage("its sequence parameters are damaged")
        return (1 << zeros) - 1 + self.read(zeros)


def read_parameters(unit: bytes) -> Parameters:
    """Read a unit of sequence parameters (section 7.3.2.2). Raises CorruptImage."""
    # A byte of 3 after two zeros prevents a start code (section 7.3.1.1).
    payload = unit[_UNIT_HEADER:_PARAMETERS_MAX].replace(b"\0\0\3", b"\0\0")
    bits = _Bits(int.from_bytes(payload, "big"), 8 * len(payload))
    bits.read(4)
    layers = bits.read(3)
    bits.read(1)
    _skip_profile(bits, layers)
    bits.read_golomb()
    chroma = bits.read_golomb()
    if chroma not in _CHROMA:
        raise CorruptImage("its sequence parameters are damaged")
    if chroma == _FOUR_CHROMA:
        bits.read(1)
    width, height = bits.read_golomb(), bits.read_golomb()
    if bits.read(1):
        for _ in range(4):
            bits.read_golomb()
    depth = 8 + max(bits.read_golomb(), bits.read_golomb())
    return Parameters(width, height, depth, _CHROMA[chroma])


@dataclass(slots=True)
class ParameterSets:
    """The different sequence parameters of a file, each parsed once: the tiles of an image repeat them."""

    known: dict[bytes, Parameters] = field(default_factory=dict)

    def read(self, unit: bytes) -> Parameters:
        """Read a unit of sequence parameters. Raises CorruptImage for a damaged one, or for too many."""
        start = unit[:_PARAMETERS_MAX]
        if start not in self.known:
            if len(self.known) == _PARAMETER_SETS_MAX:
                raise CorruptImage(f"more than {_PARAMETER_SETS_MAX:,} sequence parameters")
            self.known[start] = read_parameters(start)
        return self.known[start]


def _skip_profile(bits: _Bits, layers: int) -> None:
    """Skip profile, tier and level (section 7.3.3). layers: temporal layers beside the first."""
    bits.read(_PROFILE_BITS + _LEVEL_BITS)
    present = [(bits.read(1), bits.read(1)) for _ in range(layers)]
    if layers:
        bits.read(2 * (8 - layers))
    for profile, level in present:
        bits.read(profile * _PROFILE_BITS + level * _LEVEL_BITS)
