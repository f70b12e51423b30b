"""Finds a location in bytes of unknown kind, by their content: a segment or chunk with an unusual label, a text."""

import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from itertools import islice

from consumer.imaging.ifd import WalkBudget
from consumer.imaging.strip_location.metadata import credentials, directories, iptc, xmp
from core.errors import CorruptImage

_TIFF_HEADER = re.compile(
    rb"II(?:\*\0|(?<=\AII)|(?<=(?i:exif)\0.II))|MM(?:\0\*|(?<=\AMM)|(?<=(?i:exif)\0.MM))", re.DOTALL
)
"""At the start and after the label of EXIF some readers accept any version instead of 42."""
_TELEMETRY = (b"DEVC", b"GoPro\0")
"""The key of a device, which is usually the first of GoPro's metadata (GPMF), and its label in JPEG."""
_POSITION_KEYS = (b"GPS5", b"GPS9", b"GPRI", b"GLPI")
_SHORT = 22
"""Bytes of an EXIF block with one entry. Only an IPTC dataset may be shorter."""
_HEADERS_MAX = 16
"""Headers that are tried in one chunk. A chunk with more is no metadata that a reader would find."""
_ALL_INFLATED_MAX = 16_777_216
_PIECE = 262_144
_WHOLE_MAX = 1_048_576
"""Bytes of an inflated text that is searched as a whole. A longer one is searched for XMP in pieces."""


class Search(Enum):
    """The result of a search. UNREADABLE: there may be a location, so the bytes are removed."""

    CLEAN = 0
    LOCATED = 1
    UNREADABLE = 2


@dataclass(slots=True)
class SearchBudget:
    """Limits the search of one file: bytes that may still be inflated, and the budget for walking directories."""

    inflated: int = _ALL_INFLATED_MAX
    walk: WalkBudget = field(default_factory=WalkBudget)


def has_location(data: bytes, budget: WalkBudget) -> bool:
    """Return whether bytes hold XMP, EXIF, IPTC or content credentials with a location, at any offset."""
    if len(data) < _SHORT:
        return iptc.find_dataset(data)
    return (
        xmp.has_location(data)
        or _exif_has_location(data, budget)
        or iptc.find_location(data, budget, directories.has_location)
        or credentials.has_location(data)
        or _telemetry_has_location(data)
    )


def profile_has_location(profile: bytes, budget: WalkBudget) -> bool:
    """Do the same for a profile that may also be bare IPTC datasets (IIM 4.2)."""
    return iptc.has_location(profile) or has_location(profile, budget)


def tiff_headers(data: bytes) -> Iterator[int]:
    """Yield the offsets at which an EXIF block may begin."""
    return (header.start() for header in islice(_TIFF_HEADER.finditer(data), _HEADERS_MAX))


def _exif_has_location(data: bytes, budget: WalkBudget) -> bool:
    for start in tiff_headers(data):
        try:
            if directories.has_located_entries(data[start:], budget):
                return True
        except CorruptImage:
            # The header is a coincidence, unless the budget is spent.
            budget.spend_entries(0)
            budget.spend_bytes(0)
    return False


def _telemetry_has_location(data: bytes) -> bool:
    starts = [at for at in map(data.find, _TELEMETRY) if at >= 0]
    return bool(starts) and any(data.find(key, min(starts)) >= 0 for key in _POSITION_KEYS)


def search_inflated(data: bytes, budget: SearchBudget) -> tuple[Search, bytes]:
    """Search a deflated text (RFC 1950). Returns the text as well, or nothing if it is long.

    A long text is searched in pieces for XMP only. UNREADABLE is a damaged text, and one that exceeds the budget.
    """
    pieces = _inflate(data, budget)
    head = b""
    try:
        for piece in pieces:
            head += piece
            if len(head) > _WHOLE_MAX:
                found = xmp.pieces_have_location(_chain(head, pieces))
                return (Search.LOCATED if found else Search.CLEAN), b""
    except (zlib.error, _BudgetSpentError):
        return Search.UNREADABLE, b""
    found = has_location(head, budget.walk)
    return (Search.LOCATED if found else Search.CLEAN), head


def _chain(head: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield head
    yield from rest


class _BudgetSpentError(Exception):
    """The texts of a file are too long to be searched."""


def _inflate(data: bytes, budget: SearchBudget) -> Iterator[bytes]:
    """Yield the text in pieces. Raises zlib.error and _BudgetSpentError."""
    inflater = zlib.decompressobj()
    for at in range(0, len(data), _PIECE):
        rest = data[at : at + _PIECE]
        while rest and not inflater.eof:
            piece = inflater.decompress(rest, _PIECE)
            rest = inflater.unconsumed_tail
            budget.inflated -= len(piece)
            if budget.inflated < 0:
                raise _BudgetSpentError
            yield piece
