"""Boxes, and where in a file coded pictures are (ISO/IEC 14496-12 and 23008-12)."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from consumer.imaging.structure.segments import MAX_PARTS
from core.errors import CorruptImage

_HEADER, _LARGE_HEADER = 8, 16
_FULL = 4
"""Version and flags, in front of the content of a full box."""
_CODED = b"av01"


class Box(NamedTuple):
    """data and stop: its content, as offsets in the file."""

    name: bytes
    data: int
    stop: int


Extents = tuple[tuple[int, int], ...]
"""Offset and size of each piece of an item or of one sample."""


def boxes(body: bytes, at: int, stop: int) -> Iterator[Box]:
    """Raises CorruptImage where a box reaches past `stop`, and for very many of them."""
    for _ in range(MAX_PARTS):
        if at == stop:
            return
        size, header = int.from_bytes(body[at : at + 4], "big"), _HEADER
        if size == 1:
            size, header = int.from_bytes(body[at + 8 : at + 16], "big"), _LARGE_HEADER
        end = at + size if size else stop
        if end < at + header or end > stop:
            raise CorruptImage("a box is cut short")
        yield Box(body[at + 4 : at + 8], at + header, end)
        at = end
    raise CorruptImage(f"more than {MAX_PARTS:,} boxes")


def below(body: bytes, parent: Box, *path: bytes, skip: int = 0) -> list[Box]:
    """The boxes at the end of a path of names. skip: bytes of the parent before its first box."""
    found = [each for each in boxes(body, parent.data + skip, parent.stop) if each.name == path[0]]
    if len(path) == 1:
        return found
    return [each for box in found for each in below(body, box, *path[1:])]


@dataclass(slots=True)
class _Cursor:
    body: bytes
    at: int
    stop: int

    def number(self, size: int) -> int:
        """Big-endian, `size` bytes long. Raises CorruptImage beyond the box."""
        self.at += size
        if self.at > self.stop:
            raise CorruptImage("a box is cut short")
        return int.from_bytes(self.body[self.at - size : self.at], "big")

    def count(self, size: int) -> int:
        number = self.number(size)
        if number > MAX_PARTS:
            raise CorruptImage(f"more than {MAX_PARTS:,} samples")
        return number


def _cursor(body: bytes, box: Box, skip: int = 0) -> _Cursor:
    return _Cursor(body, box.data + skip, box.stop)


def coded_items(body: bytes, meta: Box) -> Iterator[Extents]:
    """Of each item of AV1, alpha and tiles included. Raises CorruptImage."""
    coded = {
        number
        for info in below(body, meta, b"iinf", skip=_FULL)
        for number in _coded_numbers(body, info)
    }
    data = next((box.data for box in below(body, meta, b"idat", skip=_FULL)), 0)
    for locations in below(body, meta, b"iloc", skip=_FULL):
        for number, extents in _locations(body, locations, data):
            if number in coded:
                yield extents


def _coded_numbers(body: bytes, info: Box) -> Iterator[int]:
    skip = _FULL + (4 if _cursor(body, info).number(1) else 2)
    for entry in boxes(body, info.data + skip, info.stop):
        cursor = _cursor(body, entry)
        version = cursor.number(_FULL) >> 24
        number = cursor.number(4 if version > 2 else 2)  # noqa: PLR2004 - longer from version 3
        cursor.number(2)
        if cursor.number(4).to_bytes(4, "big") == _CODED:
            yield number


def _locations(body: bytes, box: Box, data: int) -> Iterator[tuple[int, Extents]]:
    """ISO/IEC 14496-12, 8.11.3. `data` is where the item data box begins."""
    cursor = _cursor(body, box)
    version, sizes = cursor.number(_FULL) >> 24, cursor.number(2)
    offset_size, length_size, base_size, index_size = (sizes >> at & 15 for at in (12, 8, 4, 0))
    wide = 4 if version > 1 else 2
    for _ in range(cursor.count(wide)):
        number = cursor.number(wide)
        method = cursor.number(2) & 15 if version else 0
        cursor.number(2)
        base = cursor.number(base_size) + (data if method == 1 else 0)
        if method > 1:
            raise CorruptImage("an item is made of others")
        extents = []
        for _ in range(cursor.count(2)):
            cursor.number(index_size if version else 0)
            at, size = base + cursor.number(offset_size), cursor.number(length_size)
            extents.append((at, size or len(body) - at))
        yield number, tuple(extents)


def coded_samples(body: bytes, movie: Box) -> Iterator[Extents]:
    """Of each sample of each track of AV1. Raises CorruptImage."""
    for table in below(body, movie, b"trak", b"mdia", b"minf", b"stbl"):
        parts = {box.name: box for box in boxes(body, table.data, table.stop)}
        entries = parts.get(b"stsd")
        if entries and below(body, entries, _CODED, skip=_FULL + 4):
            yield from _samples(body, parts)


def _samples(body: bytes, parts: dict[bytes, Box]) -> Iterator[Extents]:
    if b"stsz" not in parts or b"stsc" not in parts:
        raise CorruptImage("a track has no table of samples")
    sizes = iter(_sizes(_cursor(body, parts[b"stsz"], _FULL)))
    runs = dict(_runs(_cursor(body, parts[b"stsc"], _FULL)))
    samples = 0
    for index, offset in enumerate(_chunks(body, parts), start=1):
        samples, at = runs.get(index, samples), offset
        for _ in range(samples):
            size = next(sizes, None)
            if size is None:
                return
            yield ((at, size),)
            at += size


def _sizes(cursor: _Cursor) -> list[int]:
    common, count = cursor.number(4), cursor.count(4)
    return [common or cursor.number(4) for _ in range(count)]


def _runs(cursor: _Cursor) -> Iterator[tuple[int, int]]:
    """The first chunk of each run, and the samples in each of its chunks."""
    last = 0
    for _ in range(cursor.count(4)):
        first, samples = cursor.number(4), cursor.number(4)
        cursor.number(4)
        if first <= last:
            raise CorruptImage("its chunks are not in order")
        last = first
        yield first, samples


def _chunks(body: bytes, parts: dict[bytes, Box]) -> Iterator[int]:
    for name, size in ((b"stco", 4), (b"co64", 8)):
        if name in parts:
            cursor = _cursor(body, parts[name], _FULL)
            for _ in range(cursor.count(4)):
                yield cursor.number(size)
