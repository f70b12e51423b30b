"""Reads the boxes of ISO base media files (ISO/IEC 14496-12, 4.2)."""

from collections.abc import Iterator
from dataclasses import dataclass, field
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
_STEPS_MAX = 200_000
FULL = 4
"""Size of version and flags, which precede the content of a full box."""


@dataclass(slots=True)
class IsoFile:
    """A file whose boxes are read.

    steps: boxes, items, entries of tables and coded units that may still be read. Boxes of one kind may be walked for
    each box of another kind, so this is a limit of the file.
    """

    body: bytes = field(repr=False)
    steps: int = _STEPS_MAX

    def spend(self, count: int) -> None:
        """Count steps. Raises CorruptImage beyond the limit."""
        self.steps -= count
        if self.steps < 0:
            raise CorruptImage(f"more than {_STEPS_MAX:,} boxes and entries")


class Box(NamedTuple):
    """data and stop: offsets of its content in the file."""

    name: bytes
    data: int
    stop: int


Extents = tuple[tuple[int, int], ...]
"""Offset and size of each piece of an item or a sample."""


def iter_boxes(file: IsoFile, at: int, stop: int) -> Iterator[Box]:
    """Yield the boxes between two offsets. Raises CorruptImage if one reaches past `stop`, or if there are too many."""
    while at != stop:
        file.spend(1)
        box = _read_box(file.body, at, stop)
        if box is None:
            raise CorruptImage(_CUT_SHORT)
        yield box
        at = box.stop


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


def find_boxes(file: IsoFile, parent: Box, *path: bytes, skip: int = 0) -> list[Box]:
    """Return the boxes at a path of names. skip: bytes of the parent before its first box."""
    found = [
        each for each in iter_boxes(file, parent.data + skip, parent.stop) if each.name == path[0]
    ]
    if len(path) == 1:
        return found
    return [each for box in found for each in find_boxes(file, box, *path[1:])]


@dataclass(slots=True)
class Cursor:
    """Reads numbers one after another."""

    file: IsoFile
    at: int
    stop: int

    def number(self, size: int) -> int:
        """Read a big-endian number of `size` bytes. Raises CorruptImage beyond the box."""
        self.at += size
        if self.at > self.stop:
            raise CorruptImage(_CUT_SHORT)
        return int.from_bytes(self.file.body[self.at - size : self.at], "big")

    def count(self, size: int) -> int:
        """Read the number of entries that follow. Raises CorruptImage if the file has too many."""
        number = self.number(size)
        self.file.spend(number)
        return number


def cursor_of(file: IsoFile, box: Box, skip: int = 0) -> Cursor:
    return Cursor(file, box.data + skip, box.stop)
