"""TIFF image file directories, which EXIF uses too (TIFF 6.0, section 2; EXIF 3.0, 4.6)."""

import struct
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

from core.errors import CorruptImage

MAX_DIRECTORIES = 10_000
MAX_NUMBERS = 65_536
"""Numbers in one entry that are read: the strips or tiles of one frame."""

# Directories may overlap, so their number is not bounded by the size of the block.
_MAX_ENTRIES = 6_000
_MAX_ALL_ENTRIES = 50_000
_MAX_BYTES = 16_777_216
_MAX_POINTERS = 64

_ENTRY_SIZE = 12
_INLINE = 4
_KIND_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
_NUMBER_CODES = {1: "B", 3: "H", 4: "I", 13: "I"}


@dataclass(slots=True)
class WalkBudget:
    """What walking all the blocks of one file may still cost; a file may repeat its blocks.

    entries: directories and their entries that are parsed. size: bytes of values that are searched
    or blanked, for values may overlap. Both raise CorruptImage once spent.
    """

    entries: int = _MAX_ALL_ENTRIES
    size: int = _MAX_BYTES

    def spend_entries(self, count: int) -> None:
        self.entries -= count
        if self.entries < 0:
            raise CorruptImage("it has too many directories")

    def spend_bytes(self, size: int) -> None:
        self.size -= size
        if self.size < 0:
            raise CorruptImage("its metadata overlaps too often")


@dataclass(frozen=True, slots=True)
class Entry:
    """at: the entry's own offset. data and size: its value, inline or elsewhere, in bytes."""

    tag: int
    kind: int
    count: int
    at: int
    data: int
    size: int

    @property
    def inline(self) -> bool:
        return self.size <= _INLINE


@dataclass(frozen=True, slots=True)
class Directory:
    """stop: after the pointer to the following directory, or the block's end where that is missing.

    following: the offset of the following directory, 0 for none.
    whole: whether every entry and that pointer are there. EXIF writers sometimes leave it out.
    """

    at: int
    stop: int
    entries: tuple[Entry, ...]
    following: int
    whole: bool

    def entry(self, tag: int) -> Entry | None:
        return next((entry for entry in self.entries if entry.tag == tag), None)


@dataclass(frozen=True, slots=True)
class Block:
    """Bytes that begin with a TIFF header; offsets count from there."""

    data: bytes
    order: Literal["<", ">"]
    budget: WalkBudget = field(default_factory=WalkBudget, compare=False)

    def directory(self, at: int) -> Directory | None:
        """The directory at an offset, with as many of its entries as fit; None where none can be.

        Offset 0, the header's, stands for a pointer that is not there. Raises CorruptImage for
        more entries than any writer has use for, and where the budget is spent.
        """
        if not at or at + 2 > len(self.data):
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
        whole = count == declared and stop == table_end + _INLINE
        following = int.from_bytes(self.data[table_end:stop], self.byteorder) if whole else 0
        return Directory(at, stop, entries, following, whole)

    @property
    def byteorder(self) -> Literal["little", "big"]:
        return "little" if self.order == "<" else "big"

    def _entry(self, at: int, tag: int, kind: int, count: int, value: int) -> Entry:
        size = _KIND_SIZES.get(kind, 1) * count
        return Entry(tag, kind, count, at, at + 8 if size <= _INLINE else value, size)

    def first(self) -> int:
        return int(struct.unpack_from(f"{self.order}I", self.data, 4)[0])

    def walk(self, below: Sequence[int] = ()) -> Iterator[Directory]:
        """The main chain in order, and the directories that the tags `below` point to; each once.

        One that does not fit is passed over. Raises CorruptImage beyond MAX_DIRECTORIES and
        where the budget is spent.
        """
        waiting, seen = deque([self.first()]), set[int]()
        while waiting:
            at = waiting.popleft()
            directory = self.directory(at) if at not in seen else None
            if directory is None:
                continue
            seen.add(at)
            if len(seen) > MAX_DIRECTORIES:
                raise CorruptImage("it has too many directories")
            yield directory
            waiting.append(directory.following)
            for tag in below:
                waiting.extend(self._pointers(directory.entry(tag)))

    def _pointers(self, entry: Entry | None) -> tuple[int, ...]:
        if entry and entry.count > _MAX_POINTERS:
            raise CorruptImage(f"an entry points to more than {_MAX_POINTERS} directories")
        return self.numbers(entry)

    def raw(self, entry: Entry) -> bytes:
        return self.data[entry.data : entry.data + entry.size]

    def numbers(self, entry: Entry | None, most: int = MAX_NUMBERS) -> tuple[int, ...]:
        """The entry's unsigned integers, the first `most` of them.

        Empty where the entry is missing, of another kind, cut, or longer than MAX_NUMBERS.
        """
        code = _NUMBER_CODES.get(entry.kind) if entry else None
        if entry is None or code is None or entry.count > MAX_NUMBERS:
            return ()
        if entry.data + entry.size > len(self.data):
            return ()
        count = min(entry.count, most)
        return struct.unpack_from(f"{self.order}{count}{code}", self.data, entry.data)

    def number(self, entry: Entry | None, default: int = 0) -> int:
        numbers = self.numbers(entry, most=1)
        return numbers[0] if numbers else default


def block(data: bytes, budget: WalkBudget | None = None) -> Block | None:
    """None where the bytes do not begin with a TIFF header. Without a budget it gets its own."""
    budget = budget or WalkBudget()
    if len(data) < 8:  # noqa: PLR2004 - the header's size
        return None
    if data.startswith(b"II*\0"):
        return Block(data, "<", budget)
    if data.startswith(b"MM\0*"):
        return Block(data, ">", budget)
    return None
