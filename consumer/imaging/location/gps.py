"""Location in EXIF blocks, blanked in place, so that every other offset stays valid.

Maker notes are opaque and stay as they are: what a maker hides in them is not looked for.
"""

from dataclasses import dataclass

from consumer.imaging.exif import EXIF_DIRECTORY, PREFIX
from consumer.imaging.ifd import Block, Directory, Entry, WalkBudget, block
from consumer.imaging.location import xmp
from core.errors import CorruptImage

GPS_DIRECTORY = 0x8825
_GPS_VERSION = 0
_BELOW = (EXIF_DIRECTORY, 0xA005, 0x014A)
"""Tags that point to directories: EXIF's own, interoperability, sub-directories."""
_XMP_PACKET = 0x02BC
_THUMBNAIL, _THUMBNAIL_SIZE = 0x0201, 0x0202
_SUSPECTS = frozenset({GPS_DIRECTORY, _XMP_PACKET, _THUMBNAIL})
_SUSPECTS_MAX = 256
"""Each may point to much of the block; writers have use for three."""
_ENTRY_SIZE = 12


@dataclass(frozen=True, slots=True)
class _Finding:
    """Entries of a directory that tell a place."""

    directory: Directory
    entries: tuple[Entry, ...]


def tells_place(data: bytes, budget: WalkBudget) -> bool:
    """Whether a block, with or without its prefix, holds a location. Raises CorruptImage."""
    found = block(data.removeprefix(PREFIX), budget)
    return found is not None and bool(_findings(found))


def without_place(data: bytes, budget: WalkBudget) -> bytes:
    """The block, as long as before, without its location; the same object where it holds none.

    Dropped are the pointers to GPS directories, with the directories and their values zeroed, XMP
    packets that name a place, and thumbnails that hold either. `budget` is that of the file.
    Raises CorruptImage for a block that would take too long to search.
    """
    offset = len(PREFIX) if data.startswith(PREFIX) else 0
    found = block(data[offset:], budget)
    findings = _findings(found) if found else []
    if found is None or not findings:
        return data
    edited = bytearray(found.data)
    for finding in findings:
        for entry in finding.entries:
            _erase(edited, found, finding.directory, entry)
    # Tables are closed last: where a damaged one overlaps what was erased, that stays erased.
    for finding in findings:
        _rewrite(edited, found, finding)
    return data[:offset] + bytes(edited)


def _findings(found: Block) -> list[_Finding]:
    suspects = [
        (directory, [entry for entry in directory.entries if entry.tag in _SUSPECTS])
        for directory in found.walk(_BELOW)
    ]
    suspects = [(directory, entries) for directory, entries in suspects if entries]
    if sum(len(entries) for _, entries in suspects) > _SUSPECTS_MAX:
        raise CorruptImage("its EXIF is not credible")
    place_in_xmp = bool(suspects) and xmp.names_place(found.data)
    findings = []
    for directory, entries in suspects:
        telling = [e for e in entries if _tells_place(found, directory, e, place_in_xmp)]
        if any(entry.tag == _THUMBNAIL for entry in telling):
            telling += [entry for entry in directory.entries if entry.tag == _THUMBNAIL_SIZE]
        if telling:
            findings.append(_Finding(directory, tuple(telling)))
    return findings


def _tells_place(found: Block, directory: Directory, entry: Entry, place_in_xmp: bool) -> bool:
    if entry.tag == _XMP_PACKET:
        return place_in_xmp
    if entry.tag == GPS_DIRECTORY:
        return _gps_tells_place(found, entry)
    return _thumbnail_tells_place(_thumbnail(found, directory), found.budget)


def _gps_tells_place(found: Block, entry: Entry) -> bool:
    """Many cameras write a GPS directory with nothing but its version; that tells no place.

    One that cannot be read may be legible to another reader, and counts.
    """
    directory = found.directory(found.number(entry))
    return directory is None or any(each.tag != _GPS_VERSION for each in directory.entries)


def _thumbnail(found: Block, directory: Directory) -> bytes:
    at, size = (found.number(directory.entry(tag)) for tag in (_THUMBNAIL, _THUMBNAIL_SIZE))
    thumbnail = found.data[at : at + size] if at else b""
    found.budget.spend_bytes(len(thumbnail))
    return thumbnail


def _thumbnail_tells_place(thumbnail: bytes, budget: WalkBudget) -> bool:
    """A thumbnail is a JPEG of its own. Its own thumbnail is not followed further."""
    if xmp.names_place(thumbnail):
        return True
    at = thumbnail.find(PREFIX)
    inner = block(thumbnail[at + len(PREFIX) :], budget) if at >= 0 else None
    main = inner.directory(inner.first()) if inner else None
    pointer = main.entry(GPS_DIRECTORY) if main else None
    return inner is not None and pointer is not None and _gps_tells_place(inner, pointer)


def _erase(edited: bytearray, found: Block, directory: Directory, entry: Entry) -> None:
    if entry.tag == _THUMBNAIL:
        size = found.number(directory.entry(_THUMBNAIL_SIZE))
        _zero(edited, found, found.number(entry), size)
        return
    if not entry.inline:
        _zero(edited, found, entry.data, entry.size)
    gps = found.directory(found.number(entry)) if entry.tag == GPS_DIRECTORY else None
    if gps is None:
        return
    for each in gps.entries:
        if not each.inline:
            _zero(edited, found, each.data, each.size)
    _zero(edited, found, gps.at, gps.stop - gps.at)


def _rewrite(edited: bytearray, found: Block, finding: _Finding) -> None:
    """Closes the table's ranks; its end, now free, is zeroed."""
    directory, gone = finding.directory, {entry.at for entry in finding.entries}
    kept = [entry.at for entry in directory.entries if entry.at not in gone]
    table = len(kept).to_bytes(2, found.byteorder)
    table += b"".join(edited[at : at + _ENTRY_SIZE] for at in kept)
    entries_end = directory.at + 2 + len(directory.entries) * _ENTRY_SIZE
    table += edited[entries_end : directory.stop]
    edited[directory.at : directory.stop] = table.ljust(directory.stop - directory.at, b"\0")


def _zero(edited: bytearray, found: Block, at: int, size: int) -> None:
    stop = min(at + size, len(edited))
    if at < stop:
        found.budget.spend_bytes(stop - at)
        edited[at:stop] = bytes(stop - at)
