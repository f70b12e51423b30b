"""Removes the location from AVIF and HEIC in place: no offset moves (ISO/IEC 23008-12).

Items are blanked where they lie. A box with a location becomes a box of free space.
"""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from consumer.imaging.ifd import WalkBudget
from consumer.imaging.result import Edit
from consumer.imaging.strip_location.edits import StripResult, differences, strip_result
from consumer.imaging.strip_location.metadata import content, directories, xmp
from consumer.imaging.strip_location.metadata.content import Search, SearchBudget
from consumer.imaging.strip_location.metadata.orientation import orientation_block
from consumer.imaging.structure import ImageStructure
from consumer.imaging.structure.iso.boxes import FULL, Box, Extents, IsoFile, iter_boxes
from consumer.imaging.structure.iso.items import Item, iter_items
from core.errors import CorruptImage

_EXIF = b"Exif"
_IMAGE_ITEMS = frozenset(
    {b"av01", b"hvc1", b"lhv1", b"avc1", b"vvc1", b"jpeg", b"j2k1", b"unci"}
    | {b"grid", b"iovl", b"iden", b"tmap", b"mski", b"tili"}
)
"""Types of items that hold no metadata (ISO/IEC 23008-12, 23001-17)."""
_TIFF_OFFSET = 4
"""Bytes before an EXIF block that give the offset of its TIFF header (ISO/IEC 23008-12, A.2.1)."""
_METADATA, _USER_DATA, _TRACK = b"meta", b"udta", b"trak"
_CONTAINERS = frozenset({b"moov", _TRACK, b"mdia"})
_IMAGE_BOXES = frozenset(
    {
        b"ftyp",
        b"mdat",
        b"mvhd",
        b"tkhd",
        b"mdhd",
        b"minf",
        b"hdlr",
        b"edts",
        b"tref",
        b"iinf",
        b"iloc",
    }
    | {b"iprp", b"iref", b"pitm", b"idat", b"grpl", b"dinf"}
)
"""Boxes without text, and those whose content is found by items."""
_PLACE_BOXES = frozenset({b"\xa9xyz", b"loci", b"@xyz"})
_PLACES = re.compile(rb"\xa9xyz|@xyz|loci\0|ISO6709|\.location\.|[+-]\d{2,3}\.\d+[+-]\d{3}\.\d+")
"""Boxes of user data (QuickTime File Format; 3GPP TS 26.244, 8.10), keys of QuickTime, and their values (ISO 6709)."""
_HANDLER, _LOCATIONS = b"hdlr", b"iloc"
_FREE_BOXES = frozenset({b"free", b"skip"})
_DEPTH_MAX = 8
_DEFLATED = b"\x78"
_NAME, _NAME_OF_LARGE = 4, 12
"""Bytes from the name to the content of a box: the name, and a length of 64 bits."""


def strip(body: bytes, structure: ImageStructure) -> StripResult:
    """Blank items and boxes with a location, and packets of XMP anywhere in the file.

    Raises CorruptImage for EXIF that takes too long to search, or for items that overlap too often.
    """
    kept = body[: structure.end]
    edited = bytearray(kept)
    budget = SearchBudget()
    boxes = _read_boxes(kept)
    for item in boxes.items:
        _replace(edited, item.extents, _blank(_join(edited, item.extents), budget))
    for box in boxes.metadata:
        if _has_location(kept, box, budget.walk):
            _free(edited, box)
    edits = differences(kept, xmp.blank(bytes(edited)))
    return strip_result(body, edits, structure.end, had_location=bool(edits), exif=structure.exif)


def strip_all(body: bytes, structure: ImageStructure, orientation: int) -> list[Edit]:
    """Blank all items and boxes that are no part of the image. EXIF becomes the orientation alone."""
    kept = body[: structure.end]
    edited = bytearray(kept)
    block = bytes(_TIFF_OFFSET) + orientation_block(orientation)
    boxes = _read_boxes(kept)
    for item in boxes.items:
        size = len(_join(edited, item.extents))
        # Decoders reject a file whose EXIF is no block. A shorter one has no entries.
        if item.type != _EXIF:
            _replace(edited, item.extents, b" " * size)
        elif size >= len(block):
            _replace(edited, item.extents, block.ljust(size, b"\0"))
    for box in boxes.metadata:
        if box.name not in _FREE_BOXES or any(kept[box.data : box.stop]):
            _free(edited, box)
    return differences(kept, xmp.blank(bytes(edited), every=True))


class _Boxes(NamedTuple):
    """items: of metadata. metadata: boxes without items."""

    items: Sequence[Item]
    metadata: Sequence[Box]


def _read_boxes(body: bytes) -> _Boxes:
    """Find the metadata. Raises CorruptImage if items reach beyond the end or overlap too often."""
    file, left = IsoFile(body), 2 * len(body)
    items, metadata = list[Item](), list[Box]()
    for box, has_items in _walk(file):
        if not has_items:
            metadata.append(box)
            continue
        for item in iter_items(file, box):
            if item.type in _IMAGE_ITEMS:
                continue
            left -= sum(size for _, size in item.extents)
            within = all(
                at >= 0 and size >= 0 and at + size <= len(body) for at, size in item.extents
            )
            if left < 0 or not within:
                raise CorruptImage("its metadata is cut short")
            items.append(item)
    return _Boxes(items, metadata)


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
    for start in dict.fromkeys((told, _TIFF_OFFSET, 0, *content.tiff_headers(item))):
        block = item[start:]
        stripped = directories.strip(block, budget.walk)
        if stripped is not block:
            item = item[:start] + stripped
    return b" " * len(item) if _item_has_location(item, budget) else item


def _item_has_location(item: bytes, budget: SearchBudget) -> bool:
    """Search an item, which may be deflated (content encoding of ISO/IEC 14496-12, 8.11.6)."""
    if content.has_location(item, budget.walk):
        return True
    return item.startswith(_DEFLATED) and (
        content.search_inflated(item, budget)[0] is not Search.CLEAN
    )


def _walk(file: IsoFile) -> Iterator[tuple[Box, bool]]:
    """Yield the boxes that may hold metadata, at any depth, and whether a box is a metadata box with items.

    The boxes in such a box follow.
    """
    waiting = [(box, 0) for box in iter_boxes(file, 0, len(file.body))]
    while waiting:
        box, depth = waiting.pop()
        if box.name in _CONTAINERS and depth < _DEPTH_MAX:
            waiting += [(each, depth + 1) for each in iter_boxes(file, box.data, box.stop)]
            continue
        inner = _boxes_beside_items(file, box) if depth < _DEPTH_MAX else []
        waiting += [(each, depth + 1) for each in inner]
        if box.name not in _IMAGE_BOXES:
            yield box, bool(inner)


def _boxes_beside_items(file: IsoFile, box: Box) -> list[Box]:
    """Return the boxes in a metadata box that has items. Empty for any other box.

    QuickTime's metadata box is no full box: it begins with a handler box, and it has no items.
    """
    if box.name != _METADATA or file.body[box.data + _NAME : box.data + 2 * _NAME] == _HANDLER:
        return []
    inner = list(iter_boxes(file, box.data + FULL, box.stop))
    return inner if any(each.name == _LOCATIONS for each in inner) else []


def _has_location(body: bytes, box: Box, budget: WalkBudget) -> bool:
    payload = body[box.data : box.stop]
    if box.name in _PLACE_BOXES:
        return any(payload)
    return _PLACES.search(payload) is not None or content.has_location(payload, budget)


def _free(edited: bytearray, box: Box) -> None:
    """Turn a box into one of free space (ISO/IEC 14496-12, 8.1.2). Its header keeps its length."""
    edited[box.data : box.stop] = bytes(box.stop - box.data)
    short = edited[box.data - 4 : box.data] == box.name
    name = box.data - (_NAME if short else _NAME_OF_LARGE)
    edited[name : name + _NAME] = b"free"
