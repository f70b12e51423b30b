"""Finds and blanks the location in EXIF blocks, in place, so that every other offset stays valid.

Maker notes have no public format. They stay unchanged and are not searched.
"""

from dataclasses import dataclass

from consumer.imaging.exif import EXIF_DIRECTORY, PREFIX
from consumer.imaging.ifd import Directory, Entry, TiffBlock, WalkBudget, parse_block
from consumer.imaging.strip_location import xmp
from core.errors import CorruptImage

GPS_DIRECTORY = 0x8825
_GPS_VERSION = 0
_POINTER_TAGS = (EXIF_DIRECTORY, 0xA005, 0x014A)
"""Tags that point to directories: EXIF's own, interoperability, sub-directories."""
_XMP_PACKET = 0x02BC
_THUMBNAIL, _THUMBNAIL_SIZE = 0x0201, 0x0202
_LOCATION_TAGS = frozenset({GPS_DIRECTORY, _XMP_PACKET, _THUMBNAIL})
_LOCATION_TAGS_MAX = 256
"""Each may point to a large part of the block. Writers use three."""
_ENTRY_SIZE = 12


@dataclass(frozen=True, slots=True)
class _Finding:
    """Entries of a directory that hold a location."""

    directory: Directory
    entries: tuple[Entry, ...]


def has_location(data: bytes, budget: WalkBudget) -> bool:
    """Return whether a block, with or without its prefix, holds a location. Raises CorruptImage."""
    tiff = parse_block(data.removeprefix(PREFIX), budget)
    return tiff is not None and bool(_find(tiff))


def strip(data: bytes, budget: WalkBudget) -> bytes:
    """Return the block without its location, at its old length. Returns `data` itself if it has none.

    Removes the pointers to GPS directories, XMP packets with a location, and thumbnails that hold
    either. The directories and values that they point to are zeroed. `budget` is that of the file.
    Raises CorruptImage for a block that would take too long to search.
    """
    offset = len(PREFIX) if data.startswith(PREFIX) else 0
    tiff = parse_block(data[offset:], budget)
    findings = _find(tiff) if tiff else []
    if tiff is None or not findings:
        return data
    edited = bytearray(tiff.data)
    for finding in findings:
        for entry in finding.entries:
            _erase(edited, tiff, finding.directory, entry)
    # Tables are rewritten last: if a damaged one overlaps erased bytes, these stay erased.
    for finding in findings:
        _rewrite(edited, tiff, finding)
    return data[:offset] + bytes(edited)


def _find(tiff: TiffBlock) -> list[_Finding]:
    candidates = [
        (directory, [entry for entry in directory.entries if entry.tag in _LOCATION_TAGS])
        for directory in tiff.walk(_POINTER_TAGS)
    ]
    candidates = [(directory, entries) for directory, entries in candidates if entries]
    if sum(len(entries) for _, entries in candidates) > _LOCATION_TAGS_MAX:
        raise CorruptImage("its EXIF is not credible")
    xmp_located = bool(candidates) and xmp.has_location(tiff.data)
    findings = []
    for directory, entries in candidates:
        located = [e for e in entries if _entry_has_location(tiff, directory, e, xmp_located)]
        if any(entry.tag == _THUMBNAIL for entry in located):
            located += [entry for entry in directory.entries if entry.tag == _THUMBNAIL_SIZE]
        if located:
            findings.append(_Finding(directory, tuple(located)))
    return findings


def _entry_has_location(
    tiff: TiffBlock, directory: Directory, entry: Entry, xmp_located: bool
) -> bool:
    if entry.tag == _XMP_PACKET:
        return xmp_located
    if entry.tag == GPS_DIRECTORY:
        return _gps_has_location(tiff, entry)
    return _thumbnail_has_location(_thumbnail(tiff, directory), tiff.budget)


def _gps_has_location(tiff: TiffBlock, entry: Entry) -> bool:
    """Return whether a GPS directory holds more than its version, which many cameras write alone.

    A directory that cannot be read counts: another reader may be able to read it.
    """
    directory = tiff.directory(tiff.number(entry))
    return directory is None or any(each.tag != _GPS_VERSION for each in directory.entries)


def _thumbnail(tiff: TiffBlock, directory: Directory) -> bytes:
    at, size = (tiff.number(directory.entry(tag)) for tag in (_THUMBNAIL, _THUMBNAIL_SIZE))
    thumbnail = tiff.data[at : at + size] if at else b""
    tiff.budget.spend_bytes(len(thumbnail))
    return thumbnail


def _thumbnail_has_location(thumbnail: bytes, budget: WalkBudget) -> bool:
    """Search a thumbnail, which is a JPEG with its own EXIF. Does not search its thumbnail in turn."""
    if xmp.has_location(thumbnail):
        return True
    at = thumbnail.find(PREFIX)
    inner = parse_block(thumbnail[at + len(PREFIX) :], budget) if at >= 0 else None
    main = inner.directory(inner.first_offset()) if inner else None
    pointer = main.entry(GPS_DIRECTORY) if main else None
    return inner is not None and pointer is not None and _gps_has_location(inner, pointer)


def _erase(edited: bytearray, tiff: TiffBlock, directory: Directory, entry: Entry) -> None:
    if entry.tag == _THUMBNAIL:
        size = tiff.number(directory.entry(_THUMBNAIL_SIZE))
        _zero(edited, tiff, tiff.number(entry), size)
        return
    if not entry.inline:
        _zero(edited, tiff, entry.data, entry.size)
    gps = tiff.directory(tiff.number(entry)) if entry.tag == GPS_DIRECTORY else None
    if gps is None:
        return
    for each in gps.entries:
        if not each.inline:
            _zero(edited, tiff, each.data, each.size)
    _zero(edited, tiff, gps.at, gps.stop - gps.at)


def _rewrite(edited: bytearray, tiff: TiffBlock, finding: _Finding) -> None:
    """Rewrite the table without the located entries, and zero the space that this frees."""
    directory, removed = finding.directory, {entry.at for entry in finding.entries}
    kept = [entry.at for entry in directory.entries if entry.at not in removed]
    table = len(kept).to_bytes(2, tiff.byteorder)
    table += b"".join(edited[at : at + _ENTRY_SIZE] for at in kept)
    entries_end = directory.at + 2 + len(directory.entries) * _ENTRY_SIZE
    table += edited[entries_end : directory.stop]
    edited[directory.at : directory.stop] = table.ljust(directory.stop - directory.at, b"\0")


def _zero(edited: bytearray, tiff: TiffBlock, at: int, size: int) -> None:
    stop = min(at + size, len(edited))
    if at < stop:
        tiff.budget.spend_bytes(stop - at)
        edited[at:stop] = bytes(stop - at)
