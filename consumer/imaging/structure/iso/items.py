"""Locates the items of a metadata box, their properties and their references (ISO/IEC 14496-12, 8.11; 23008-12, 9)."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from consumer.imaging.structure.iso.boxes import (
    FULL,
    Box,
    Extents,
    IsoFile,
    cursor_of,
    find_boxes,
    iter_boxes,
)
from core.errors import CorruptImage


class Item(NamedTuple):
    """An item of a metadata box (ISO/IEC 14496-12, 8.11). type: of its content, as four bytes."""

    type: bytes
    extents: Extents


def iter_items(file: IsoFile, meta: Box) -> Iterator[Item]:
    """Yield each item with a type and a location. Raises CorruptImage."""
    types = _types(file, find_boxes(file, meta, b"iinf", skip=FULL))
    data = next((box.data for box in find_boxes(file, meta, b"idat", skip=FULL)), 0)
    for locations in find_boxes(file, meta, b"iloc", skip=FULL):
        for number, extents in _item_extents(file, locations, data):
            if number in types:
                yield Item(types[number], extents)


def _types(file: IsoFile, infos: Iterable[Box]) -> dict[int, bytes]:
    """Return the type of each item by its number. Raises CorruptImage if a number has two."""
    types: dict[int, bytes] = {}
    for info in infos:
        for number, kind in _item_types(file, info):
            if types.setdefault(number, kind) != kind:
                raise CorruptImage("an item has two types")
    return types


def _item_types(file: IsoFile, info: Box) -> Iterator[tuple[int, bytes]]:
    """Yield number and type of each item. An entry older than version 2 has no type (ISO/IEC 14496-12, 8.11.6)."""
    skip = FULL + (4 if cursor_of(file, info).number(1) else 2)
    for entry in iter_boxes(file, info.data + skip, info.stop):
        cursor = cursor_of(file, entry)
        version = cursor.number(FULL) >> 24
        number = cursor.number(4 if version > 2 else 2)  # noqa: PLR2004 - longer from version 3
        cursor.number(2)
        yield number, cursor.number(4).to_bytes(4, "big") if version > 1 else b""


def _item_extents(file: IsoFile, box: Box, data: int) -> Iterator[tuple[int, Extents]]:
    """Yield id and extents of each item (ISO/IEC 14496-12, 8.11.3). data: offset of the item data box."""
    cursor = cursor_of(file, box)
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
            extents.append((at, size or len(file.body) - at))
        yield number, tuple(extents)


def check_texts(file: IsoFile, meta: Box) -> None:
    """Raise CorruptImage if the type, the name or the content type of an item is no UTF-8 (ISO/IEC 14496-12, 8.11.6).

    pi-heif crashes on such a text.
    """
    for info in find_boxes(file, meta, b"iinf", skip=FULL):
        skip = FULL + (4 if cursor_of(file, info).number(1) else 2)
        for entry in iter_boxes(file, info.data + skip, info.stop):
            version = cursor_of(file, entry).number(1)
            # Identifier, which is longer from version 3, and protection index
            start = entry.data + FULL + (6 if version > 2 else 4)  # noqa: PLR2004
            try:
                file.body[start : entry.stop].decode()
            except UnicodeDecodeError:
                raise CorruptImage("an item has a type or a name that is no text") from None


class ItemGraph(NamedTuple):
    """The items of a metadata box by their numbers.

    primary: the item that is shown.
    properties: boxes, in the order in which they apply.
    references: by type and number of the referring item, the numbers of those that it refers to.
    """

    primary: int
    types: Mapping[int, bytes]
    extents: Mapping[int, Extents]
    properties: Mapping[int, Sequence[Box]]
    references: Mapping[tuple[bytes, int], Sequence[int]]


def read_graph(file: IsoFile, meta: Box) -> ItemGraph:
    """Read the items of a metadata box with their properties and references. Raises CorruptImage."""
    boxes = {box.name: box for box in iter_boxes(file, meta.data + FULL, meta.stop)}
    if not {b"pitm", b"iinf", b"iloc", b"iprp"} <= boxes.keys():
        raise CorruptImage("it has no primary item")
    cursor = cursor_of(file, boxes[b"pitm"])
    wide = cursor.number(FULL) >> 24 > 0
    data = boxes[b"idat"].data if b"idat" in boxes else 0
    return ItemGraph(
        primary=cursor.number(4 if wide else 2),
        types=_types(file, [boxes[b"iinf"]]),
        extents=dict(_item_extents(file, boxes[b"iloc"], data)),
        properties=_properties(file, boxes[b"iprp"]),
        references=_references(file, boxes[b"iref"]) if b"iref" in boxes else {},
    )


def _properties(file: IsoFile, box: Box) -> dict[int, list[Box]]:
    """Read which properties each item has (ISO/IEC 23008-12, 9.3). Unknown indexes are left out."""
    containers = find_boxes(file, box, b"ipco")
    known = list(iter_boxes(file, containers[0].data, containers[0].stop)) if containers else []
    found: dict[int, list[Box]] = {}
    for associations in find_boxes(file, box, b"ipma"):
        cursor = cursor_of(file, associations)
        flags = cursor.number(FULL)
        size, wide = (2 if flags & 1 else 1), 4 if flags >> 24 else 2
        for _ in range(cursor.count(4)):
            number = cursor.number(wide)
            for _ in range(cursor.count(1)):
                index = cursor.number(size) & ((1 << 8 * size - 1) - 1)
                if 0 < index <= len(known):
                    found.setdefault(number, []).append(known[index - 1])
    return found


def _references(file: IsoFile, box: Box) -> dict[tuple[bytes, int], list[int]]:
    """Read the references between items (ISO/IEC 14496-12, 8.11.12)."""
    size = 4 if cursor_of(file, box).number(FULL) >> 24 else 2
    found: dict[tuple[bytes, int], list[int]] = {}
    for reference in iter_boxes(file, box.data + FULL, box.stop):
        cursor = cursor_of(file, reference)
        number = cursor.number(size)
        targets = [cursor.number(size) for _ in range(cursor.count(2))]
        found.setdefault((reference.name, number), []).extend(targets)
    return found
