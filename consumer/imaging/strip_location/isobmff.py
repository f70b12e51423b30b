"""Removes the location from AVIF and other files of ISO media boxes in place: no offset moves (ISO/IEC 23008-12).

Items are blanked where they lie. A box with a location becomes a box of free space.
"""

from collections.abc import Iterator

from consumer.imaging.ifd import WalkBudget
from consumer.imaging.strip_location.edits import StripResult, differences, strip_result
from consumer.imaging.strip_location.metadata import content, directories, xmp
from consumer.imaging.strip_location.metadata.content import Search, SearchBudget
from consumer.imaging.structure import ImageStructure
from consumer.imaging.structure.isobmff import FULL, Box, Extents, iter_boxes, iter_items
from core.errors import CorruptImage

_EXIF, _MIME, _URI = b"Exif", b"mime", b"uri "
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
_PLACES = (b"\xa9xyz", b"loci", b"@xyz", b"location.ISO6709")
"""Boxes of user data and keys of QuickTime metadata (QuickTime File Format; 3GPP TS 26.244, 8.10)."""
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
    left = 2 * len(kept)
    for extents in _metadata_items(kept):
        left -= sum(size for _, size in extents)
        if left < 0 or any(at < 0 or size < 0 or at + size > len(kept) for at, size in extents):
            raise CorruptImage("its metadata is cut short")
        _blank_item(edited, extents, budget)
    for box in _boxes(kept):
        if _has_location(kept, box, budget.walk):
            _free(edited, box)
    edits = differences(kept, xmp.blank(bytes(edited)))
    return strip_result(body, edits, structure.end, had_location=bool(edits), exif=structure.exif)


def _metadata_items(body: bytes) -> Iterator[Extents]:
    for box in iter_boxes(body, 0, len(body)):
        if box.name == _METADATA:
            yield from (
                item.extents for item in iter_items(body, box) if item.type in (_EXIF, _MIME, _URI)
            )


def _blank_item(edited: bytearray, extents: Extents, budget: SearchBudget) -> None:
    """Blank the location in an item, whose extents are joined."""
    item = b"".join(edited[at : at + size] for at, size in extents)
    blanked = _blank(item, budget)
    if blanked is item:
        return
    start = 0
    for at, size in extents:
        edited[at : at + size] = blanked[start : start + size]
        start += size


def _blank(item: bytes, budget: SearchBudget) -> bytes:
    """Return an item without its location, at its old length. Returns `item` itself if it has none.

    EXIF keeps the rest of its entries. Everything else becomes spaces, which are an empty text.
    """
    starts = (_TIFF_OFFSET + int.from_bytes(item[:_TIFF_OFFSET], "big"), _TIFF_OFFSET, 0)
    for start in starts:
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


def _boxes(body: bytes) -> Iterator[Box]:
    """Yield the boxes that may hold text or unknown content, at any depth."""
    waiting = [(box, 0) for box in iter_boxes(body, 0, len(body))]
    while waiting:
        box, depth = waiting.pop()
        if box.name in _CONTAINERS and depth < _DEPTH_MAX:
            waiting += [(each, depth + 1) for each in iter_boxes(body, box.data, box.stop)]
        elif box.name == _METADATA and depth == 0:
            waiting += [(each, depth + 1) for each in iter_boxes(body, box.data + FULL, box.stop)]
        elif box.name not in _IMAGE_BOXES:
            yield box


def _has_location(body: bytes, box: Box, budget: WalkBudget) -> bool:
    payload = body[box.data : box.stop]
    if box.name in _PLACES:
        return any(payload)
    places = box.name in (_USER_DATA, _METADATA) and any(name in payload for name in _PLACES)
    return places or content.has_location(payload, budget)


def _free(edited: bytearray, box: Box) -> None:
    """Turn a box into one of free space (ISO/IEC 14496-12, 8.1.2). Its header keeps its length."""
    edited[box.data : box.stop] = bytes(box.stop - box.data)
    short = edited[box.data - 4 : box.data] == box.name
    name = box.data - (_NAME if short else _NAME_OF_LARGE)
    edited[name : name + _NAME] = b"free"
