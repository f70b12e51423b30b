"""Finds the location in IPTC records (IIM 4.2), and removes it from Photoshop's image resource blocks."""

from collections.abc import Iterator

from consumer.imaging.ifd import WalkBudget
from consumer.imaging.strip_location import gps, xmp

_LOCATION_DATASETS = frozenset({26, 27, 90, 92, 95, 100, 101})
"""Content location code and name, city, sublocation, province, country code and name."""
_TAG_MARKER, _APPLICATION_RECORD = 0x1C, 2
_HEADER = 5
_EXTENDED = 0x8000

_RESOURCE = b"8BIM"
_RESOURCE_MIN = 12
_IPTC, _EXIF_1, _EXIF_3, _XMP = 0x0404, 0x0422, 0x0423, 0x0424


def has_location(records: bytes) -> bool:
    """Return whether IIM datasets hold a location. Stops at a damaged dataset."""
    at = 0
    while at + _HEADER <= len(records) and records[at] == _TAG_MARKER:
        record, dataset = records[at + 1], records[at + 2]
        size = int.from_bytes(records[at + 3 : at + 5], "big")
        at += _HEADER
        if size & _EXTENDED:
            width = size & ~_EXTENDED
            size = int.from_bytes(records[at : at + width], "big")
            at += width
        if size and record == _APPLICATION_RECORD and dataset in _LOCATION_DATASETS:
            return True
        at += size
    return False


def strip(resources: bytes, budget: WalkBudget) -> bytes:
    """Return the image resource blocks that hold no location. Returns `resources` itself if none does.

    `budget` is that of the file, for the EXIF blocks inside. Raises CorruptImage.
    """
    kept = bytearray()
    at = 0
    for identifier, start, stop, payload in _resources(resources):
        if not _resource_has_location(identifier, payload, budget):
            kept += resources[start:stop]
        at = stop
    return resources if len(kept) == at else bytes(kept) + resources[at:]


def _resource_has_location(identifier: int, payload: bytes, budget: WalkBudget) -> bool:
    if identifier == _IPTC:
        return has_location(payload)
    if identifier in (_EXIF_1, _EXIF_3):
        return gps.has_location(payload, budget)
    return identifier == _XMP and xmp.has_location(payload)


def _resources(resources: bytes) -> Iterator[tuple[int, int, int, bytes]]:
    """Yield identifier, start, stop and payload of each block (Photoshop file format, image resources)."""
    at = 0
    while at + _RESOURCE_MIN <= len(resources) and resources.startswith(_RESOURCE, at):
        identifier = int.from_bytes(resources[at + 4 : at + 6], "big")
        name = 1 + resources[at + 6]
        head = at + 6 + name + name % 2
        data = head + 4
        size = int.from_bytes(resources[head:data], "big")
        stop = min(data + size + size % 2, len(resources))
        yield identifier, at, stop, resources[data : data + size]
        at = stop
