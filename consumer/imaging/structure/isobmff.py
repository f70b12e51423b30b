"""Reads boxes, and locates AV1 data in a file (ISO/IEC 14496-12 and 23008-12)."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from consumer.imaging.structure.image_structure import MAX_SEGMENTS, shown_ms
from core.errors import CorruptImage
from core.model.image import ANIMATION_DURATION_MAX_MS

_HEADER, _LARGE_HEADER = 8, 16
FULL = 4
"""Size of version and flags, which precede the content of a full box."""
_AV1 = b"av01"


class Box(NamedTuple):
    """data and stop: offsets of its content in the file."""

    name: bytes
    data: int
    stop: int


Extents = tuple[tuple[int, int], ...]
"""Offset and size of each piece of an item or a sample."""


def iter_boxes(body: bytes, at: int, stop: int) -> Iterator[Box]:
    """Yield the boxes between two offsets. Raises CorruptImage if one reaches past `stop`, or if there are too many."""
    for _ in range(MAX_SEGMENTS):
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
    raise CorruptImage(f"more than {MAX_SEGMENTS:,} boxes")


def find_boxes(body: bytes, parent: Box, *path: bytes, skip: int = 0) -> list[Box]:
    """Return the boxes at a path of names. skip: bytes of the parent before its first box."""
    found = [
        each for each in iter_boxes(body, parent.data + skip, parent.stop) if each.name == path[0]
    ]
    if len(path) == 1:
        return found
    return [each for box in found for each in find_boxes(body, box, *path[1:])]


@dataclass(slots=True)
class _Cursor:
    body: bytes
    at: int
    stop: int

    def number(self, size: int) -> int:
        """Read a big-endian number of `size` bytes. Raises CorruptImage beyond the box."""
        self.at += size
        if self.at > self.stop:
            raise CorruptImage("a box is cut short")
        return int.from_bytes(self.body[self.at - size : self.at], "big")

    def count(self, size: int) -> int:
        number = self.number(size)
        if number > MAX_SEGMENTS:
            raise CorruptImage(f"more than {MAX_SEGMENTS:,} samples")
        return number


def _cursor(body: bytes, box: Box, skip: int = 0) -> _Cursor:
    return _Cursor(body, box.data + skip, box.stop)


class Item(NamedTuple):
    """An item of a metadata box (ISO/IEC 14496-12, 8.11). type: of its content, as four bytes."""

    type: bytes
    extents: Extents


def av1_items(body: bytes, meta: Box) -> Iterator[Extents]:
    """Yield the extents of each AV1 item, alpha and tiles included. Raises CorruptImage."""
    return (item.extents for item in iter_items(body, meta) if item.type == _AV1)


def iter_items(body: bytes, meta: Box) -> Iterator[Item]:
    """Yield each item with a type and a location. Raises CorruptImage."""
    types = {
        number: kind
        for info in find_boxes(body, meta, b"iinf", skip=FULL)
        for number, kind in _item_types(body, info)
    }
    data = next((box.data for box in find_boxes(body, meta, b"idat", skip=FULL)), 0)
    for locations in find_boxes(body, meta, b"iloc", skip=FULL):
        for number, extents in _item_extents(body, locations, data):
            if number in types:
                yield Item(types[number], extents)


def _item_types(body: bytes, info: Box) -> Iterator[tuple[int, bytes]]:
    skip = FULL + (4 if _cursor(body, info).number(1) else 2)
    for entry in iter_boxes(body, info.data + skip, info.stop):
        cursor = _cursor(body, entry)
        version = cursor.number(FULL) >> 24
        number = cursor.number(4 if version > 2 else 2)  # noqa: PLR2004 - longer from version 3
        cursor.number(2)
        yield number, cursor.number(4).to_bytes(4, "big")


def _item_extents(body: bytes, box: Box, data: int) -> Iterator[tuple[int, Extents]]:
    """Yield id and extents of each item (ISO/IEC 14496-12, 8.11.3). data: offset of the item data box."""
    cursor = _cursor(body, box)
    version, sizes = cursor.number(FULL) >> 24, cursor.number(2)
    offset_size, length_size, base_size, index_size = (sizes >> at & 15 for at in (12, 8, 4, 0))
    wide = 4 if version > 1 else 2
    for _ in range(cursor.count(wide)):
        number = cursor.number(wide)
        method = cursor.number(2) & 15 if version else 0
        cursor.number(2)
        base = cursor.number(base_size) + (data if method == 1 else 0)
        if method > 1:
            raise CorruptImage("an item consists of other items")
        extents = []
        for _ in range(cursor.count(2)):
            cursor.number(index_size if version else 0)
            at, size = base + cursor.number(offset_size), cursor.number(length_size)
            extents.append((at, size or len(body) - at))
        yield number, tuple(extents)


def av1_samples(body: bytes, movie: Box) -> Iterator[Extents]:
    """Yield the extents of each sample of each AV1 track. Raises CorruptImage."""
    for media in find_boxes(body, movie, b"trak", b"mdia"):
        for tables in _av1_tables(body, media):
            yield from _samples(body, tables)


def av1_duration_ms(body: bytes, movie: Box) -> int:
    """Return the sum of the sample times of the longest AV1 track, within the contract's limit. Raises CorruptImage."""
    durations = [
        _sample_times_ms(_cursor(body, tables[b"stts"], FULL), _time_scale(_cursor(body, header)))
        for media in find_boxes(body, movie, b"trak", b"mdia")
        for header in find_boxes(body, media, b"mdhd")
        for tables in _av1_tables(body, media)
        if b"stts" in tables
    ]
    return min(round(max(durations, default=0)), ANIMATION_DURATION_MAX_MS)


def _time_scale(cursor: _Cursor) -> int:
    """Read the units per second of a media header (ISO/IEC 14496-12, 8.4.2)."""
    version = cursor.number(FULL) >> 24
    cursor.number(16 if version else 8)
    return cursor.number(4)


def _sample_times_ms(cursor: _Cursor, time_scale: int) -> float:
    """Sum the runs of samples with the same time (ISO/IEC 14496-12, 8.6.1.2)."""
    total = 0.0
    for _ in range(cursor.count(4)):
        samples, time = cursor.number(4), cursor.number(4)
        total += samples * shown_ms(1000 * time / time_scale if time_scale else 0)
    return total


def _av1_tables(body: bytes, media: Box) -> Iterator[dict[bytes, Box]]:
    """Yield the sample tables of a track, if it is an AV1 track."""
    for table in find_boxes(body, media, b"minf", b"stbl"):
        tables = {box.name: box for box in iter_boxes(body, table.data, table.stop)}
        entries = tables.get(b"stsd")
        if entries and find_boxes(body, entries, _AV1, skip=FULL + 4):
            yield tables


def _samples(body: bytes, tables: dict[bytes, Box]) -> Iterator[Extents]:
    if b"stsz" not in tables or b"stsc" not in tables:
        raise CorruptImage("a track has no table of samples")
    sizes = iter(_sizes(_cursor(body, tables[b"stsz"], FULL)))
    runs = dict(_runs(_cursor(body, tables[b"stsc"], FULL)))
    samples = 0
    for index, offset in enumerate(_chunks(body, tables), start=1):
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
    """Yield the first chunk of each run, and the number of samples in each of its chunks."""
    last = 0
    for _ in range(cursor.count(4)):
        first, samples = cursor.number(4), cursor.number(4)
        cursor.number(4)
        if first <= last:
            raise CorruptImage("its chunks are not in order")
        last = first
        yield first, samples


def _chunks(body: bytes, tables: dict[bytes, Box]) -> Iterator[int]:
    for name, size in ((b"stco", 4), (b"co64", 8)):
        if name in tables:
            cursor = _cursor(body, tables[name], FULL)
            for _ in range(cursor.count(4)):
                yield cursor.number(size)
