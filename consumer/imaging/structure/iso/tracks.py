"""Locates the samples of AV1 tracks, and sums their times (ISO/IEC 14496-12, 8.3 to 8.7)."""

from collections.abc import Iterator

from consumer.imaging.structure.image_structure import shown_ms
from consumer.imaging.structure.iso.boxes import (
    FULL,
    Box,
    Cursor,
    Extents,
    IsoFile,
    cursor_of,
    find_boxes,
    iter_boxes,
)
from core.errors import CorruptImage
from core.model.image import ANIMATION_DURATION_MAX_MS

_AV1 = b"av01"
_HANDLER = slice(8, 12)
"""The type in the content of a handler box."""


def av1_samples(file: IsoFile, movie: Box) -> Iterator[Extents]:
    """Yield the extents of each sample of each AV1 track. Raises CorruptImage."""
    for media in find_boxes(file, movie, b"trak", b"mdia"):
        for tables in _av1_tables(file, media):
            yield from _samples(file, tables)


def handlers(file: IsoFile, track: Box) -> set[bytes]:
    """Return the types of a track's media, as four bytes (ISO/IEC 14496-12, 8.4.3). An intact track has one."""
    return {
        file.body[box.data + _HANDLER.start : box.data + _HANDLER.stop]
        for box in find_boxes(file, track, b"mdia", b"hdlr")
    }


def samples(file: IsoFile, track: Box) -> Iterator[Extents]:
    """Yield the extents of each sample of a track of any kind. Raises CorruptImage."""
    for table in find_boxes(file, track, b"mdia", b"minf", b"stbl"):
        tables = {box.name: box for box in iter_boxes(file, table.data, table.stop)}
        if {b"stsz", b"stsc"} <= tables.keys():
            yield from _samples(file, tables)


def av1_duration_ms(file: IsoFile, movie: Box) -> int:
    """Return the sum of the sample times of the longest AV1 track, within the contract's limit. Raises CorruptImage."""
    durations = [
        _sample_times_ms(
            cursor_of(file, tables[b"stts"], FULL), _time_scale(cursor_of(file, header))
        )
        for media in find_boxes(file, movie, b"trak", b"mdia")
        for header in find_boxes(file, media, b"mdhd")
        for tables in _av1_tables(file, media)
        if b"stts" in tables
    ]
    return min(round(max(durations, default=0)), ANIMATION_DURATION_MAX_MS)


def _time_scale(cursor: Cursor) -> int:
    """Read the units per second of a media header (ISO/IEC 14496-12, 8.4.2)."""
    version = cursor.number(FULL) >> 24
    cursor.number(16 if version else 8)
    return cursor.number(4)


def _sample_times_ms(cursor: Cursor, time_scale: int) -> float:
    """Sum the runs of samples with the same time (ISO/IEC 14496-12, 8.6.1.2)."""
    total = 0.0
    for _ in range(cursor.count(4)):
        samples, time = cursor.number(4), cursor.number(4)
        total += samples * shown_ms(1000 * time / time_scale if time_scale else 0)
    return total


def _av1_tables(file: IsoFile, media: Box) -> Iterator[dict[bytes, Box]]:
    """Yield the sample tables of a track, if it is an AV1 track."""
    for table in find_boxes(file, media, b"minf", b"stbl"):
        tables = {box.name: box for box in iter_boxes(file, table.data, table.stop)}
        entries = tables.get(b"stsd")
        if entries and find_boxes(file, entries, _AV1, skip=FULL + 4):
            yield tables


def _samples(file: IsoFile, tables: dict[bytes, Box]) -> Iterator[Extents]:
    if b"stsz" not in tables or b"stsc" not in tables:
        raise CorruptImage("a track has no table of samples")
    sizes = iter(_sizes(cursor_of(file, tables[b"stsz"], FULL)))
    runs = dict(_runs(cursor_of(file, tables[b"stsc"], FULL)))
    samples = 0
    for index, offset in enumerate(_chunks(file, tables), start=1):
        samples, at = runs.get(index, samples), offset
        for _ in range(samples):
            size = next(sizes, None)
            if size is None:
                return
            yield ((at, size),)
            at += size


def _sizes(cursor: Cursor) -> list[int]:
    common, count = cursor.number(4), cursor.count(4)
    return [common or cursor.number(4) for _ in range(count)]


def _runs(cursor: Cursor) -> Iterator[tuple[int, int]]:
    """Yield the first chunk of each run, and the number of samples in each of its chunks."""
    last = 0
    for _ in range(cursor.count(4)):
        first, samples = cursor.number(4), cursor.number(4)
        cursor.number(4)
        if first <= last:
            raise CorruptImage("its chunks are not in order")
        last = first
        yield first, samples


def _chunks(file: IsoFile, tables: dict[bytes, Box]) -> Iterator[int]:
    for name, size in ((b"stco", 4), (b"co64", 8)):
        if name in tables:
            cursor = cursor_of(file, tables[name], FULL)
            for _ in range(cursor.count(4)):
                yield cursor.number(size)
