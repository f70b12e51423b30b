"""Parses TIFF image file directories, which EXIF also uses (TIFF 6.0, section 2; EXIF 3.0, 4.6)."""

import struct
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

from core.errors import CorruptImage

MAX_DIRECTORIES = 10_000
MAX_NUMBERS = 65_536
"""Numbers that are read from one entry: the strips or tiles of one frame."""

# Directories may overlap, so the size of the block does not limit their number.
_MAX_ENTRIES = 6_000
_MAX_ALL_ENTRIES = 50_000
_MAX_BYTES = 16_777_216
_MAX_POINTERS = 64

_HEADER_SIZE = 8
_ENTRY_SIZE = 12
_INLINE = 4
_TYPE_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
_NUMBER_CODES = {1: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i", 13: "I"}


@dataclass(slots=True)
class WalkBudget:
    """Limits the work of walking all blocks of one file; a file may repeat its blocks.

    entries: directories, their entries and Photoshop's image resources that may still be parsed.
    size: bytes of values that may still be searched or blanked. Values may overlap.
    Both methods raise CorruptImage if the budget is spent.
    """

    entries: int = _MAX_ALL_ENTRIES
    size: int = _MAX_BYTES

    def spend_entries(self, count: int) -> None:
        self.entries -= count
        if self.entries < 0:
            raise CorruptImage("its metadata has too many parts")

    def spend_bytes(self, size: int) -> None:
        self.size -= size
        if self.size < 0:
            raise CorruptImage("its metadata overlaps too often")


@dataclass(frozen=True, slots=True)
class Entry:
    """at: offset of the entry. data and size: its value in bytes, inline or elsewhere."""

    tag: int
    type: int
    count: int
    at: int
    data: int
    size: int

    @property
    def inline(self) -> bool:
        return self.size <= _INLINE


@dataclass(frozen=True, slots=True)
class Directory:
    """stop: offset after the pointer to the next directory, or the block's end if that is missing.

    next_offset: offset of the next directory, 0 for none.
    complete: whether every entry and that pointer are there. Some EXIF writers leave the pointer out.
    """

    at: int
    stop: int
    entries: tuple[Entry, ...]
    next_offset: int
    complete: bool

    def entry(self, tag: int) -> Entry | None:
        return next((entry for entry in self.entries if entry.tag == tag), None)


@dataclass(frozen=True, slots=True)
class TiffBlock:
    """Bytes that begin with a TIFF header. Offsets count from there."""

    data: bytes
    order: Literal["<", ">"]
    budget: WalkBudget = field(default_factory=WalkBudget, compare=False)

    def directory(self, at: int) -> Directory | None:
        """Parse the directory at an offset, with as many entries as fit.

        Returns None if there is no room for one, or for offset 0, which means a missing pointer.
        Raises CorruptImage for more entries than any writer needs, or if the budget is spent.
        """
        if at <= 0 or at + 2 > len(self.data):
            return None
        (declared,) = struct.unpack_from(f"{self.order}H", self.data, at)
        count = min(declared, (len(self.data) - at - 2) // _ENTRY_SIZE)
        if count > _MAX_ENTRIES:
            raise CorruptImage(f"a directory has more than {_MAX_ENTRIES:,} entries")
        self.budget.spend_entries(1 + count)
        table_end = at + 2 + count * _ENTRY_SIZE
        fields = struct.Struct(f"{self.order}HHII").iter_unpack(self.data[at + 2 : table_end])
        entries = tuple(
            self._entry(at + 2 + index * _ENTRY_SIZE, *field) for index, field in enumerate(fields)
        )
        stop = min(table_end + _INLINE, len(self.data))
        complete = count == declared and stop == table_end + _INLINE
        next_offset = int.from_bytes(self.data[table_end:stop], self.byteorder) if complete else 0
        return Directory(at, stop, entries, next_offset, complete)

    @property
    def byteorder(self) -> Literal["little", "big"]:
        return "little" if self.order == "<" else "big"

    def _entry(self, at: int, tag: int, field_type: int, count: int, value: int) -> Entry:
        size = _TYPE_SIZES.get(field_type, 1) * count
        return Entry(tag, field_type, count, at, at + 8 if size <= _INLINE else value, size)

    def first_offset(self) -> int:
        return int(struct.unpack_from(f"{self.order}I", self.data, 4)[0])

    def walk(self, pointer_tags: Sequence[int] = ()) -> Iterator[Directory]:
        """Yield the main chain in order, and the directories that `pointer_tags` point to; each once.

        Skips a directory that does not fit. Raises CorruptImage beyond MAX_DIRECTORIES or if the budget is spent.
        """
        waiting, seen = deque([self.first_offset()]), set[int]()
        while waiting:
            at = waiting.popleft()
            directory = self.directory(at) if at not in seen else None
            if directory is None:
                continue
            seen.add(at)
            if len(seen) > MAX_DIRECTORIES:
                raise CorruptImage("it has too many directories")
            yield directory
            waiting.append(directory.next_offset)
            for entry in directory.entries:
                if entry.tag in pointer_tags:
                    waiting.extend(self._pointers(entry))
            if len(waiting) > MAX_DIRECTORIES:
                raise CorruptImage("it has too many directories")

    def _pointers(self, entry: Entry) -> tuple[int, ...]:
        pointers = self.numbers(entry)
        if len(pointers) > _MAX_POINTERS:
            raise CorruptImage(f"an entry points to more than {_MAX_POINTERS} directories")
        return pointers

    def value(self, entry: Entry) -> bytes:
        return self.data[entry.data : entry.data + entry.size]

    def numbers(self, entry: Entry | None, most: int = MAX_NUMBERS) -> tuple[int, ...]:
        """Return the first `most` integers of the entry, of any integer type.

        Empty if the entry is missing, has another type, is cut short, is longer than MAX_NUMBERS, or any is negative.
        """
        code = _NUMBER_CODES.get(entry.type) if entry else None
        if entry is None or code is None or entry.count > MAX_NUMBERS:
            return ()
        if entry.data + entry.size > len(self.data):
            return ()
        count = min(entry.count, most)
        numbers = struct.unpack_from(f"{self.order}{count}{code}", self.data, entry.data)
        return numbers if code.isupper() or min(numbers, default=0) >= 0 else ()

    def number(self, entry: Entry | None, default: int = 0) -> int:
        numbers = self.numbers(entry, most=1)
        return numbers[0] if numbers else default


def parse_block(
    data: bytes, budget: WalkBudget | None = None, *, any_version: bool = False
) -> TiffBlock | None:
    """Return None if the bytes do not begin with a TIFF header. Without a budget it gets its own.

    any_version: accept any number after the byte order instead of 42, as some readers do.
    """
    budget = budget or WalkBudget()
    if len(data) < _HEADER_SIZE:
        return None
    if data.startswith(b"II*\0") or (any_version and data.startswith(b"II")):
        return TiffBlock(data, "<", budget)
    if data.startswith(b"MM\0*") or (any_version and data.startswith(b"MM")):
        return TiffBlock(data, ">", budget)
    return None
