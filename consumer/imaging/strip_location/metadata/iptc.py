"""Finds the location in IPTC records (IIM 4.2), and removes it from Photoshop's image resource blocks."""

import re
from collections.abc import Callable, Iterator

from consumer.imaging.ifd import WalkBudget
from consumer.imaging.strip_location.metadata import xmp

ExifSearch = Callable[[bytes, WalkBudget], bool]
"""Returns whether an EXIF block has a location."""

_LOCATION_DATASETS = frozenset({26, 27, 90, 92, 95, 100, 101})
"""Content location code and name, city, sublocation, province, country code and name."""
_TAG_MARKER, _APPLICATION_RECORD = 0x1C, 2
_TAG_MARKER_BYTE = bytes((_TAG_MARKER,))
_HEADER = 5
_DATASET_START = b"\x1c\x02"
_DATASET = re.compile(rb"\x1c\x02[\x1a\x1b\x5a\x5c\x5f\x64\x65]([\x00-\x01].)", re.DOTALL)
_CONTROL = re.compile(rb"[\x00-\x1f\x7f]")
_EXTENDED = 0x8000

_RESOURCE = b"8BIM"
_RESOURCES = (_RESOURCE, b"PHUT", b"DCSR", b"AgHg", b"MeSa")
"""Signatures of resources: of Photoshop, and of other products of Adobe."""
_RESOURCE_MIN = 12
_IPTC, _EXIF_1, _EXIF_3 = 0x0404, 0x0422, 0x0423


def find_location(data: bytes, budget: WalkBudget, exif_has_location: ExifSearch) -> bool:
    """Return whether bytes of any kind hold resources with a location, or a dataset that is one.

    A dataset without a resource around it counts if its value is text, and if it is the last or another one follows.
    Raises CorruptImage like `strip`.
    """
    at = data.find(_RESOURCE)
    resources = data[at:] if at >= 0 else b""
    if strip(resources, budget, exif_has_location) is not resources:
        return True
    return find_dataset(data)


def find_dataset(data: bytes) -> bool:
    """Return whether bytes of any kind hold a dataset with a location."""
    return _DATASET_START in data and any(
        _is_dataset(data, match) for match in _DATASET.finditer(data)
    )


def _is_dataset(data: bytes, match: re.Match[bytes]) -> bool:
    stop = match.end() + int.from_bytes(match[1], "big")
    value = data[match.end() : stop]
    follows = data[stop : stop + 1]
    return (
        bool(value)
        and stop <= len(data)
        and follows in (b"", b"\x1c", b"\0")
        and _CONTROL.search(value) is None
    )


def has_location(records: bytes) -> bool:
    """Return whether IIM datasets hold a location. Stops at a damaged dataset."""
    if records[3:4] == _TAG_MARKER_BYTE != records[:1]:
        # Some writers of TIFF have swapped the bytes of each number, because the tag's type is LONG.
        whole = len(records) // 4 * 4
        swapped = bytearray(whole)
        for at in range(4):
            swapped[at::4] = records[3 - at : whole : 4]
        records = bytes(swapped)
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


def strip(resources: bytes, budget: WalkBudget, exif_has_location: ExifSearch) -> bytes:
    """Return the image resource blocks that hold no location. Returns `resources` itself if none does.

    Raises CorruptImage for more blocks than `budget` allows: one may be as short as twelve bytes.
    """
    kept = bytearray()
    at = 0
    for identifier, start, stop, payload in _resources(resources):
        budget.spend_entries(1)
        if not _resource_has_location(identifier, payload, budget, exif_has_location):
            kept += resources[start:stop]
        at = stop
    return resources if len(kept) == at else bytes(kept) + resources[at:]


def _resource_has_location(
    identifier: int, payload: bytes, budget: WalkBudget, exif_has_location: ExifSearch
) -> bool:
    if identifier == _IPTC:
        return has_location(payload)
    if identifier in (_EXIF_1, _EXIF_3):
        return exif_has_location(payload, budget)
    return xmp.has_location(payload)


def _resources(resources: bytes) -> Iterator[tuple[int, int, int, bytes]]:
    """Yield identifier, start, stop and payload of each block (Photoshop file format, image resources)."""
    at = 0
    while at + _RESOURCE_MIN <= len(resources) and resources.startswith(_RESOURCES, at):
        identifier = int.from_bytes(resources[at + 4 : at + 6], "big")
        name = 1 + resources[at + 6]
        head = at + 6 + name + name % 2
        data = head + 4
        size = int.from_bytes(resources[head:data], "big")
        stop = min(data + size + size % 2, len(resources))
        yield identifier, at, stop, resources[data : data + size]
        at = stop
