"""Removes the location from AVIF and HEIC in place: no offset moves (ISO/IEC 23008-12).

Items are blanked where they lie. A box with a location becomes a box of free space, and so does a track of anything
else than images and sound, whose samples are zeroed. Coded images never change.
"""

import re

from consumer.imaging.ifd import WalkBudget, parse_block
from consumer.imaging.result import Edit
from consumer.imaging.strip_location.edits import StripResult, differences, strip_result
from consumer.imaging.strip_location.iso_boxes import TRACK, IsoBoxes, read_boxes
from consumer.imaging.strip_location.metadata import content, directories, xmp
from consumer.imaging.strip_location.metadata.content import Search, SearchBudget
from consumer.imaging.strip_location.metadata.orientation import orientation_block
from consumer.imaging.structure import ImageStructure
from consumer.imaging.structure.iso.boxes import Box, Extents
from core.errors import LocationNotRemovable

_EXIF = b"Exif"
_TIFF_OFFSET = 4
"""Bytes before an EXIF block that give the offset of its TIFF header (ISO/IEC 23008-12, A.2.1)."""
_PLACE_BOXES = frozenset({b"\xa9xyz", b"loci", b"@xyz"})
_PLACES = re.compile(rb"\xa9xyz|@xyz|loci\0|ISO6709|\.location\.|[+-]\d{2,3}\.\d+[+-]\d{3}\.\d+")
"""Boxes of user data (QuickTime File Format; 3GPP TS 26.244, 8.10), keys of QuickTime, and their values (ISO 6709)."""
_UUID_CANON = bytes.fromhex("85c0b687820f11e08111f4ce462b6a48")
_CANON_GPS, _GPS_VERSION = b"CMT4", 0
_FREE_BOXES = frozenset({b"free", b"skip"})
_DEFLATED = b"\x78"
_NAME, _NAME_OF_LARGE = 4, 12
"""Bytes from the name to the content of a box: the name, and a length of 64 bits."""


def strip(body: bytes, structure: ImageStructure) -> StripResult:
    """Blank items and boxes with a location, and packets of XMP anywhere in the file.

    Raises CorruptImage for EXIF that takes too long to search, or for items that overlap too often, and
    LocationNotRemovable if coded images would change.
    """
    kept = body[: structure.end]
    edited = bytearray(kept)
    budget = SearchBudget()
    boxes = read_boxes(kept)
    for item in boxes.items:
        _replace(edited, item.extents, _blank(_join(edited, item.extents), budget))
    for box in boxes.metadata:
        if _has_location(kept, box, budget.walk):
            _free(edited, box, boxes)
    edits = _edits(kept, xmp.blank(bytes(edited)), boxes)
    return strip_result(body, edits, structure.end, had_location=bool(edits), exif=structure.exif)


def strip_all(body: bytes, structure: ImageStructure, orientation: int) -> list[Edit]:
    """Blank all items and boxes that are no part of the image. EXIF becomes the orientation alone."""
    kept = body[: structure.end]
    edited = bytearray(kept)
    block = bytes(_TIFF_OFFSET) + orientation_block(orientation)
    boxes = read_boxes(kept)
    for item in boxes.items:
        size = len(_join(edited, item.extents))
        # Decoders reject a file whose EXIF is no block. A shorter one has no entries.
        if item.type != _EXIF:
            _replace(edited, item.extents, b" " * size)
        elif size >= len(block):
            _replace(edited, item.extents, block.ljust(size, b"\0"))
    for box in boxes.metadata:
        if box.name not in _FREE_BOXES or any(kept[box.data : box.stop]):
            _free(edited, box, boxes)
    return _edits(kept, xmp.blank(bytes(edited), every=True), boxes)


def _edits(before: bytes, after: bytes, boxes: IsoBoxes) -> list[Edit]:
    """Return the edits. Raises LocationNotRemovable if they change coded images: items may share bytes."""
    edits = differences(before, after)
    coded = boxes.coded_extents() if edits else ()
    if any(before[at : at + size] != after[at : at + size] for at, size in coded):
        raise LocationNotRemovable
    return edits


def _join(body: bytearray, extents: Extents) -> bytes:
    return b"".join(body[at : at + size] for at, size in extents)


def _replace(body: bytearray, extents: Extents, item: bytes) -> None:
    start = 0
    for at, size in extents:
        body[at : at + size] = item[start : start + size]
        start += size


def _blank(item: bytes, budget: SearchBudget) -> bytes:
    """Return an item without its location, at its old length. Returns `item` itself if it has none.

    EXIF keeps the rest of its entries. Everything else becomes spaces, which are an empty text. Some phones write
    several EXIF blocks into one item.
    """
    told = _TIFF_OFFSET + int.from_bytes(item[:_TIFF_OFFSET], "big")
    usual = (told, _TIFF_OFFSET, 0)
    for start in dict.fromkeys((*usual, *content.tiff_headers(item))):
        block = item[start:]
        # Of the others only the entries are searched: to search their bytes takes long, and `xmp` does it later.
        if start in usual or directories.has_located_entries(block, budget.walk):
            stripped = directories.strip(block, budget.walk)
            item = item if stripped is block else item[:start] + stripped
    return b" " * len(item) if _item_has_location(item, budget) else item


def _item_has_location(item: bytes, budget: SearchBudget) -> bool:
    """Search an item, which may be deflated (content encoding of ISO/IEC 14496-12, 8.11.6)."""
    if content.has_location(item, budget.walk):
        return True
    return item.startswith(_DEFLATED) and (
        content.search_inflated(item, budget)[0] is not Search.CLEAN
    )


def _has_location(body: bytes, box: Box, budget: WalkBudget) -> bool:
    if box.name == TRACK:
        return True  # Its samples may be positions in any of many formats.
    payload = body[box.data : box.stop]
    if box.name in _PLACE_BOXES:
        return any(payload)
    return (
        _PLACES.search(payload) is not None
        or _canon_has_location(payload, budget)
        or content.has_location(payload, budget)
    )


def _canon_has_location(payload: bytes, budget: WalkBudget) -> bool:
    """Search Canon's box, in which a TIFF block has a GPS directory as its first one."""
    if not payload.startswith(_UUID_CANON):
        return False
    blocks = (parse_block(part, budget, any_version=True) for part in payload.split(_CANON_GPS)[1:])
    return any(
        entry.tag != _GPS_VERSION
        for block in blocks
        if block
        for directory in block.walk()
        for entry in directory.entries
    )


def _free(edited: bytearray, box: Box, boxes: IsoBoxes) -> None:
    """Turn a box into one of free space (ISO/IEC 14496-12, 8.1.2). Its header keeps its length.

    Samples of a track are zeroed.
    """
    if box.name == TRACK:
        for at, size in boxes.sample_extents(box):
            edited[at : at + size] = bytes(len(edited[at : at + size]))
    edited[box.data : box.stop] = bytes(box.stop - box.data)
    short = edited[box.data - 4 : box.data] == box.name
    name = box.data - (_NAME if short else _NAME_OF_LARGE)
    edited[name : name + _NAME] = b"free"
