"""Finds and erases the location in TIFF directories: in EXIF blocks, and in TIFF files.

Entries are removed from their tables and values are zeroed in place, so that every other offset stays valid.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from consumer.imaging.exif import EXIF_DIRECTORY, PREFIX
from consumer.imaging.ifd import Directory, Entry, TiffBlock, WalkBudget, parse_block
from consumer.imaging.strip_location.metadata import iptc, maker_notes, xmp

_GPS_DIRECTORY, _GPS_VERSION = 0x8825, 0
_INTEROPERABILITY, _SUB_DIRECTORIES = 0xA005, 0x014A
_POINTER_TAGS = (EXIF_DIRECTORY, _INTEROPERABILITY, _SUB_DIRECTORIES, 0x0190)
"""Tags that point to directories: EXIF's own, interoperability, sub-directories, global parameters."""
_XMP_PACKET, _IMAGE_RESOURCES = 0x02BC, 34377
_IPTC = frozenset({33723, 34152})
"""IPTC's own tag, and the one of AXS."""
_THUMBNAIL, _THUMBNAIL_SIZE = 0x0201, 0x0202
_GEOTIFF = frozenset({33920, 33922, 34264, 34735, 34736, 34737, 50844})
"""Tie points, transformations, keys with their numbers and texts (OGC 19-008r4, GeoTIFF 1.1), rational polynomials."""
_GEOTIFF_REST = frozenset({33550, 42112})
"""The scale, and GDAL's metadata. Alone they give no location. They are removed with the others."""
_LOCATION_TAGS = _GEOTIFF | _IPTC | {_GPS_DIRECTORY, _XMP_PACKET, _THUMBNAIL}
_SEARCHED_TAGS = _LOCATION_TAGS | {_IMAGE_RESOURCES, maker_notes.MAKER_NOTE}
_ERASED_DIRECTORIES = frozenset({EXIF_DIRECTORY, _GPS_DIRECTORY, _INTEROPERABILITY})
_DEPTH_MAX = 2
_ENTRY_SIZE = 12


@dataclass(frozen=True, slots=True)
class _Finding:
    """Entries of a directory that hold a location, to be removed from its table.

    thumbnail_size: bytes of the directory's thumbnail.
    """

    tiff: TiffBlock
    directory: Directory
    entries: tuple[Entry, ...]
    thumbnail_size: int = 0


def has_location(data: bytes, budget: WalkBudget) -> bool:
    """Return whether a block, with or without its prefix, holds a location. Skips Photoshop's resources in it.

    Raises CorruptImage for a block that would take too long to search.
    """
    return has_located_entries(data, budget) or xmp.has_location(data)


def has_located_entries(data: bytes, budget: WalkBudget) -> bool:
    """Do the same without a search for packets of XMP outside their tag."""
    tiff = parse_block(data.removeprefix(PREFIX), budget, any_version=True)
    if tiff is None:
        return False
    findings = _find(tiff, list(tiff.walk(_POINTER_TAGS)))
    return next(findings, None) is not None


def strip(data: bytes, budget: WalkBudget) -> bytes:
    """Return the block without its location, at its old length. Returns `data` itself if it has none.

    Removes GPS directories, XMP and IPTC with a location, georeferences, place names in maker notes, and
    thumbnails that hold any of these. `budget` is that of the file.
    Raises CorruptImage for a block that would take too long to search, and LocationNotRemovable for XMP in UTF-16
    outside its tag.
    """
    offset = len(PREFIX) if data.startswith(PREFIX) else 0
    tiff = parse_block(data[offset:] if offset else data, budget, any_version=True)
    if tiff is None:
        return data
    erased = xmp.blank(_erase_entries(tiff))
    return data if erased is tiff.data else data[:offset] + erased


def keep_entries(data: bytes, tags: frozenset[int], budget: WalkBudget) -> bytes:
    """Return a TIFF file whose directories have only the entries with these tags, at its old length.

    Directories of EXIF and GPS are erased as a whole, and those of further images like the main ones.
    Raises CorruptImage for a file that would take too long to search.
    """
    tiff = parse_block(data, budget)
    if tiff is None:
        return data
    findings = [
        _Finding(tiff, directory, tuple(e for e in directory.entries if e.tag not in tags))
        for directory in tiff.walk((_SUB_DIRECTORIES,))
    ]
    findings = [finding for finding in findings if finding.entries]
    return _apply(tiff, findings, ()) if findings else data


def _erase_entries(tiff: TiffBlock) -> bytes:
    directories = list(tiff.walk(_POINTER_TAGS))
    if not any(entry.tag in _SEARCHED_TAGS for each in directories for entry in each.entries):
        return tiff.data
    findings, resources = [*_find(tiff, directories)], [*_find_resources(tiff, directories)]
    if not findings and not resources:
        return tiff.data
    return _apply(tiff, findings, resources)


def _apply(
    tiff: TiffBlock, findings: Sequence[_Finding], resources: Sequence[tuple[Entry, bytes]]
) -> bytes:
    edited = bytearray(tiff.data)
    for finding in findings:
        for entry in finding.entries:
            _erase(edited, finding, entry)
    for entry, kept in resources:
        edited[entry.data : entry.data + len(kept)] = kept
    # Tables are rewritten last: if a damaged one overlaps erased bytes, these stay erased.
    for finding in findings:
        _rewrite(edited, finding)
    return bytes(edited)


def _find(tiff: TiffBlock, directories: list[Directory]) -> Iterator[_Finding]:
    has_gps = False
    for directory in directories:
        # Looked up once: a directory may have thousands of thumbnails.
        thumbnail_size = tiff.number(directory.entry(_THUMBNAIL_SIZE))
        located = [
            entry
            for entry in directory.entries
            if entry.tag in _LOCATION_TAGS and _has_location(tiff, entry, thumbnail_size)
        ]
        tags = {entry.tag for entry in located}
        has_gps |= _GPS_DIRECTORY in tags
        rest = {_THUMBNAIL_SIZE} if _THUMBNAIL in tags else set()
        rest |= _GEOTIFF_REST if tags & _GEOTIFF else set()
        located += [entry for entry in directory.entries if entry.tag in rest]
        if located:
            yield _Finding(tiff, directory, tuple(located), thumbnail_size)
    yield from _find_places(tiff, directories, beside_gps=has_gps)


def _find_places(
    tiff: TiffBlock, directories: list[Directory], *, beside_gps: bool
) -> Iterator[_Finding]:
    makes = (directory.entry(maker_notes.MAKE) for directory in directories)
    make = next((tiff.value(entry) for entry in makes if entry), b"")
    for directory in directories:
        note = directory.entry(maker_notes.MAKER_NOTE)
        places = note and maker_notes.find_places(tiff, note, make, beside_gps=beside_gps)
        if places:
            yield _Finding(*places)


def _find_resources(tiff: TiffBlock, directories: list[Directory]) -> Iterator[tuple[Entry, bytes]]:
    """Yield Photoshop's image resources that have to be replaced, with their new value of the old length."""
    for directory in directories:
        entry = directory.entry(_IMAGE_RESOURCES)
        value = _value(tiff, entry) if entry else b""
        kept = iptc.strip(value, tiff.budget, has_location)
        if entry and kept is not value:
            yield entry, kept.ljust(len(value), b"\0")


def _has_location(tiff: TiffBlock, entry: Entry, thumbnail_size: int) -> bool:
    tag = entry.tag
    if tag == _GPS_DIRECTORY:
        return _gps_has_location(tiff, entry)
    if tag == _XMP_PACKET:
        return xmp.has_location(_value(tiff, entry))
    if tag in _IPTC:
        return iptc.has_location(_value(tiff, entry))
    if tag == _THUMBNAIL:
        return _thumbnail_has_location(_thumbnail(tiff, entry, thumbnail_size), tiff.budget)
    return tag in _GEOTIFF


def _gps_has_location(tiff: TiffBlock, entry: Entry) -> bool:
    """Return whether a GPS directory holds more than its version, which many cameras write alone.

    A directory that cannot be read counts: another reader may be able to read it. A pointer of 0 leads to none.
    """
    if tiff.numbers(entry, most=1) == (0,):
        return False
    directory = tiff.directory(tiff.number(entry))
    return directory is None or any(each.tag != _GPS_VERSION for each in directory.entries)


def _value(tiff: TiffBlock, entry: Entry) -> bytes:
    value = tiff.value(entry)
    tiff.budget.spend_bytes(len(value))
    return value


def _thumbnail(tiff: TiffBlock, entry: Entry, size: int) -> bytes:
    at = tiff.number(entry)
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
    pointer = main.entry(_GPS_DIRECTORY) if main else None
    return inner is not None and pointer is not None and _gps_has_location(inner, pointer)


def _erase(edited: bytearray, finding: _Finding, entry: Entry) -> None:
    tiff = finding.tiff
    if entry.tag == _THUMBNAIL:
        _zero(edited, tiff, tiff.number(entry), finding.thumbnail_size)
        return
    if not entry.inline:
        _zero(edited, tiff, entry.data, entry.size)
    if entry.tag in _ERASED_DIRECTORIES:
        _erase_directory(edited, tiff, tiff.number(entry))


def _erase_directory(edited: bytearray, tiff: TiffBlock, at: int, depth: int = 0) -> None:
    directory = tiff.directory(at)
    if directory is None:
        return
    for entry in directory.entries:
        if not entry.inline:
            _zero(edited, tiff, entry.data, entry.size)
        elif entry.tag in _ERASED_DIRECTORIES and depth < _DEPTH_MAX:
            _erase_directory(edited, tiff, tiff.number(entry), depth + 1)
    _zero(edited, tiff, directory.at, directory.stop - directory.at)


def _rewrite(edited: bytearray, finding: _Finding) -> None:
    """Rewrite the table without the located entries, and zero the space that this frees."""
    directory, removed = finding.directory, {entry.at for entry in finding.entries}
    kept = [entry.at for entry in directory.entries if entry.at not in removed]
    table = len(kept).to_bytes(2, finding.tiff.byteorder)
    table += b"".join(edited[at : at + _ENTRY_SIZE] for at in kept)
    entries_end = directory.at + 2 + len(directory.entries) * _ENTRY_SIZE
    table += edited[entries_end : directory.stop]
    edited[directory.at : directory.stop] = table.ljust(directory.stop - directory.at, b"\0")


def _zero(edited: bytearray, tiff: TiffBlock, at: int, size: int) -> None:
    stop = min(at + size, len(edited))
    if at < stop:
        tiff.budget.spend_bytes(stop - at)
        edited[at:stop] = bytes(stop - at)
