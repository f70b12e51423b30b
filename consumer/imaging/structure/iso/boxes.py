"""Reads the boxes of ISO base media files (ISO/IEC 14496-12, 4.2)."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from consumer.imaging.structure.image_structure import MAX_SEGMENTS
from core.errors import CorruptImage

_HEADER, _LARGE_HEADER = 8, 16
_NAME = 4
_CUT_SHORT = "a box is cut short"
_FILE_TYPE, _PADDING = b"ftyp", bytes(4)
_DIRECTORIES = frozenset({b"meta", b"moov"})
"""Boxes that say where the pixels of images and of sequences are."""
_IMAGE_BOXES = _DIRECTORIES | {_FILE_TYPE, b"mdat", b"moof", b"imda"}
FULL = 4
"""Size of version and flags, which precede the content of a full box."""


class Box(NamedTuple):
    """data and stop: offsets of its content in the file."""

    name: bytes
    data: int
    stop: int


Extents = tuple[tuple[int, int], ...]
"""Offset and size of each piece of an item or a sample."""


def iter_boxes(body: bytes, at: int, stop: int) -> Iterator[Box]:
    """Yield the boxes between two offsets. Raises CorruptImage if one reaches past `stop`, or if there are too many."""
    for _ in range(MAX_SEGMENTS):
        if at == stop:
            return
        box = _read_box(body, at, stop)
        if box is None:
            raise CorruptImage(_CUT_SHORT)
        yield box
        at = box.stop
    raise CorruptImage(f"more than {MAX_SEGMENTS:,} boxes")


def _read_box(body: bytes, at: int, stop: int) -> Box | None:
    """Return the box at an offset. None if it reaches past `stop`."""
    size, header = int.from_bytes(body[at : at + 4], "big"), _HEADER
    if size == 1:
        size, header = int.from_bytes(body[at + 8 : at + 16], "big"), _LARGE_HEADER
    end = at + size if size else stop
    if end < at + header or end > stop:
        return None
    return Box(body[at + 4 : at + 8], at + header, end)


def image_end(body: bytes) -> int:
    """Return where the image ends and a trailer begins: bytes that are no box, or another file.

    The caller checks that all pieces of the image lie before the end.
    Raises CorruptImage if a box of the image is cut short, and for too many boxes.
    """
    at, names = 0, set[bytes]()
    for _ in range(MAX_SEGMENTS):
        if at == len(body):
            return at
        box = _read_box(body, at, len(body))
        if box is None or box.name == _PADDING or (box.name == _FILE_TYPE and at):
            is_cut = box is None and body[at + _NAME : at + _HEADER] in _IMAGE_BOXES
            if is_cut or not names & _DIRECTORIES:
                raise CorruptImage(_CUT_SHORT)
            return at
        names.add(box.name)
        at = box.stop
    raise CorruptImage(f"more than {MAX_SEGMENTS:,} boxes")


def find_boxes(body: bytes, parent: Box, *path: bytes, skip: int = 0) -> list[Box]:
    """Return the boxes at a path of names. skip: bytes of the parent before its first box."""
    found = [
        each for each in iter_boxes(body, parent.data + skip, parent.stop) if each.name == path[0]
    ]
    if len(path) == 1:
        return found
    return [each for box in found for each in find_boxes(body, box, *path[1:])]


@dataclass(slots=True)
class Cursor:
    """Reads numbers one after another."""

    body: bytes
    at: int
    stop: int

    def number(self, size: int) -> int:
        """Read a big-endian number of `size` bytes. Raises CorruptImage beyond the box."""
        self.at += size
        if self.at > self.stop:
            raise CorruptImage(_CUT_SHORT)
        return int.from_bytes(self.body[self.at - size : self.at], "big")

    def count(self, size: int) -> int:
        number = self.number(size)
        if number > MAX_SEGMENTS:
            raise CorruptImage(f"more than {MAX_SEGMENTS:,} samples")
        return number


def cursor_of(body: bytes, box: Box, skip: int = 0) -> Cursor:
    return Cursor(body, box.data + skip, box.stop)
