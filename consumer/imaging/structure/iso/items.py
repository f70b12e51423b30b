"""Locates the items of a metadata box, their properties and their references (ISO/IEC 14496-12, 8.11; 23008-12, 9)."""

from collections.abc import Iterator
from typing import NamedTuple

from consumer.imaging.structure.iso.boxes import (
    FULL,
    Box,
    Extents,
    cursor_of,
    find_boxes,
    iter_boxes,
)
from core.errors import CorruptImage


class Item(NamedTuple):
    """An item of a metadata box (ISO/IEC 14496-12, 8.11). type: of its content, as four bytes."""

    type: bytes
    extents: Extents


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
    skip = FULL + (4 if cursor_of(body, info).number(1) else 2)
    for entry in iter_boxes(body, info.data + skip, info.stop):
        cursor = cursor_of(body, entry)
        version = cursor.number(FULL) >> 24
        number = cursor.number(4 if version > 2 else 2)  # noqa: PLR2004 - longer from version 3
        cursor.number(2)
        yield number, cursor.number(4).to_bytes(4, "big")


def _item_extents(body: bytes, box: Box, data: int) -> Iterator[tuple[int, Extents]]:
    """Yield id and extents of each item (ISO/IEC 14496-12, 8.11.3). data: offset of the item data box."""
    cursor = cursor_of(body, box)
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
