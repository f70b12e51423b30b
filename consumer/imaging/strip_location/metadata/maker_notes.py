"""Finds place names in the maker notes of cameras.

Their formats are not public. The tags are those that ExifTool documents (https://exiftool.org/TagNames/) in its group
of locations, and the cities of clocks.
"""

from dataclasses import dataclass, replace
from typing import Literal

from consumer.imaging.ifd import Directory, Entry, TiffBlock

MAKER_NOTE = 0x927C
MAKE = 0x010F
_ENTRIES_MAX = 512
_MAKE_MAX = 32
_NO_PLACE = b"\0 -"
"""Panasonic writes "---" for an unknown place."""


@dataclass(frozen=True, slots=True)
class _Maker:
    """label: begins the note. make: begins the camera's make, if notes of this maker have no label.

    start: of the directory in the note. base: the origin of offsets, relative to the note, or None for the block.
    places: tags of place names, each with the number of bytes before the name in its value.
    clock: tags with the city of the clock, a setting. Beside a GPS position it counts as a place name.
    """

    label: bytes
    make: bytes = b""
    start: int = 0
    base: int | None = None
    places: tuple[tuple[int, int], ...] = ()
    clock: frozenset[int] = frozenset()

    def names_place(self, tag: int) -> bool:
        return tag in self.clock or any(tag == place for place, _ in self.places)


_PANASONIC_PLACES = tuple((tag, 0) for tag in (0x67, 0x69, 0x6B, 0x6D, 0x6F, *range(0x80, 0x86)))
_PENTAX_CLOCK = frozenset({0x23, 0x24})
_MAKERS = (
    _Maker(b"Panasonic\0", start=12, places=_PANASONIC_PLACES),
    _Maker(b"LEICA\0\0\0", start=8, places=_PANASONIC_PLACES),
    _Maker(b"", make=b"LEICA\0", start=8, places=_PANASONIC_PLACES),
    # After its label, a note of Nikon has a TIFF header of its own.
    _Maker(b"Nikon\0\2", start=18, base=10, places=((0x39, 5),)),
    _Maker(b"AOC\0", start=6, clock=_PENTAX_CLOCK),
    _Maker(b"PENTAX \0", start=10, base=0, clock=_PENTAX_CLOCK),
    _Maker(b"QVC\0", start=6, clock=frozenset({0x3006})),
    _Maker(b"", make=b"SAMSUNG", base=0, places=tuple((tag, 0) for tag in range(0x2F, 0x35))),
    _Maker(b"", make=b"CANON", clock=frozenset({0x35})),
)


def find_places(
    tiff: TiffBlock, note: Entry, make: bytes, *, beside_gps: bool
) -> tuple[TiffBlock, Directory, tuple[Entry, ...]] | None:
    """Find the entries of a maker note that hold a place name.

    Returns the directory, the entries with offsets as in `tiff`, and `tiff` in the byte order of the note.
    """
    value = tiff.value(note)
    tiff.budget.spend_bytes(len(value))
    maker = _maker(value, make)
    if maker is None:
        return None
    start = note.data + maker.start
    block = replace(tiff, order=_order(tiff.data[start : start + 2]))
    directory = _directory(block, start)
    tags = (
        [entry for entry in directory.entries if maker.names_place(entry.tag)] if directory else []
    )
    if directory is None or not tags:
        return None
    moved = _moved(tags, directory.stop, note.data + len(value), _bases(note, maker))
    entries = tuple(entry for entry in moved if _tells_place(block, maker, entry, beside_gps))
    return (block, directory, entries) if entries else None


def _order(count: bytes) -> Literal["<", ">"]:
    """A directory has few entries, so that its count is smaller in the right order."""
    return "<" if count[::-1] < count else ">"


def _bases(note: Entry, maker: _Maker) -> tuple[int, ...]:
    """Return the possible origins of offsets. They differ between cameras of one maker."""
    usual = 0 if maker.base is None else note.data + maker.base
    return usual, 0, note.data, note.data + maker.start, maker.start


def _moved(entries: list[Entry], start: int, stop: int, bases: tuple[int, ...]) -> list[Entry]:
    """Add the base to offsets: the first one with which all values lie between the table and the end of the note.

    Without such a base the values are unknown, and the entries get none.
    """
    for base in bases:
        moved = [e if e.inline else replace(e, data=e.data + base) for e in entries]
        if all(e.inline or (start <= e.data and e.data + e.size <= stop) for e in moved):
            return moved
    return [entry if entry.inline else replace(entry, size=0) for entry in entries]


def _maker(value: bytes, make: bytes) -> _Maker | None:
    make = make[:_MAKE_MAX].upper()
    return next(
        (each for each in _MAKERS if value.startswith(each.label) and make.startswith(each.make)),
        None,
    )


def _directory(block: TiffBlock, at: int) -> Directory | None:
    count = int.from_bytes(block.data[at : at + 2], block.byteorder)
    return block.directory(at) if 0 < count <= _ENTRIES_MAX else None


def _tells_place(block: TiffBlock, maker: _Maker, entry: Entry, beside_gps: bool) -> bool:
    skipped = dict(maker.places).get(entry.tag)
    if skipped is None:
        return beside_gps
    is_unknown = entry.count > 0 and entry.size == 0
    return is_unknown or bool(block.value(entry)[skipped:].strip(_NO_PLACE))
