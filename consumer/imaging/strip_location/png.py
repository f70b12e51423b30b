"""Removes the location from PNG chunks: eXIf, text, and ancillary chunks of unknown types, by their content."""

import re

from consumer.imaging import exif
from consumer.imaging.ifd import WalkBudget
from consumer.imaging.result import Edit
from consumer.imaging.strip_location.edits import StripResult, strip_result
from consumer.imaging.strip_location.metadata import content, directories
from consumer.imaging.strip_location.metadata.content import Search, SearchBudget
from consumer.imaging.strip_location.metadata.orientation import needed_block
from consumer.imaging.structure import ImageStructure, Segment
from consumer.imaging.structure.png import encode_chunk
from consumer.imaging.structure.png_text import RAW_PROFILE, TEXT_CHUNKS, decode_profile, split_text

_EXIF, _DEFLATED_EXIF = b"eXIf", b"zxIf"
"""The second is a proposal that was never adopted. Only ExifTool reads it, so it is always dropped."""
_IMAGE_CHUNKS = frozenset(
    {b"acTL", b"fcTL", b"fdAT", b"tRNS", b"cHRM", b"gAMA", b"iCCP", b"sBIT"}
    | {b"sRGB", b"cICP", b"mDCV", b"cLLI", b"bKGD", b"pHYs"}
)
"""Ancillary chunks that change how the image looks (PNG specification, third edition, section 11)."""
_BINARY_SIZES = {
    b"acTL": 8,
    b"fcTL": 26,
    b"tRNS": 256,
    b"cHRM": 32,
    b"gAMA": 4,
    b"sBIT": 4,
    b"sRGB": 1,
    b"cICP": 4,
    b"mDCV": 24,
    b"cLLI": 8,
    b"bKGD": 6,
    b"pHYs": 9,
    b"hIST": 512,
    b"tIME": 7,
    b"oFFs": 9,
    b"sTER": 1,
}
"""Bytes that chunks without text have at most (section 11, and PNG extensions, version 1.5)."""
_FRAME_DATA, _PROFILE, _END = b"fdAT", b"iCCP", b"IEND"
_LOCATION_KEYWORD = re.compile(
    rb"gps|latitude|longitude|geo.?(?:tag|loc|code|url)|\bgeo\b|location|coordinates"
    rb"|\bcity\b|\bcountry\b|\bstate\b|province|\bplace\b|locality|landmark|altitude",
    re.IGNORECASE,
)
_DEFLATED = re.compile(rb"\x78[\x01\x5e\x9c\xda]")
_HEAD = 128
"""Bytes of an unknown chunk in which deflated data may begin, for example after a keyword."""


def strip(body: bytes, structure: ImageStructure) -> StripResult:
    """Drop text and unknown chunks with a location, and blank eXIf in place. Does not touch pixel data.

    Drops all eXIf but one, with or without a location.
    Text that cannot be searched within the limits may hold a location, so it is dropped too. Raises CorruptImage for
    EXIF that takes too long to search.
    """
    edits: list[Edit] = []
    block, found = b"", set[Search]()
    published = exif.published_chunk(body, structure, _EXIF)
    budget = SearchBudget()
    for chunk in structure.segments:
        if chunk.name == _END and content.has_location(chunk.payload(body), budget.walk):
            edits.append((chunk.start, chunk.stop, encode_chunk(_END, b"")))
            found.add(Search.LOCATED)
        if _holds_no_text(chunk):
            continue
        payload = chunk.payload(body)
        if chunk is published and exif.is_block(payload):
            block = payload
            after = directories.strip(payload, budget.walk)
            if after is not payload:
                edits.append((chunk.start, chunk.stop, encode_chunk(chunk.name, after)))
                found.add(Search.LOCATED)
            continue
        search = _search(chunk.name, payload, budget)
        is_spare = chunk.name == _EXIF and chunk is not published
        if is_spare or search is not Search.CLEAN:
            edits.append((chunk.start, chunk.stop, b""))
            found.add(search)
    return strip_result(
        body,
        edits,
        structure.end,
        had_location=Search.LOCATED in found,
        exif=block,
        other_metadata=bool(found - {Search.LOCATED}),
    )


def strip_all(body: bytes, structure: ImageStructure, orientation: int) -> list[Edit]:
    """Drop all ancillary chunks that do not change the image. eXIf becomes one with the orientation alone."""
    block, edits = needed_block(orientation), list[Edit]()
    for chunk in structure.segments:
        if chunk.name == _EXIF and block:
            if chunk.payload(body) != block:
                edits.append((chunk.start, chunk.stop, encode_chunk(_EXIF, block)))
            block = b""
        elif chunk.name == _END and chunk.size:
            edits.append((chunk.start, chunk.stop, encode_chunk(_END, b"")))
        elif _is_ancillary(chunk) and (
            chunk.name not in _IMAGE_CHUNKS or _is_located_part(body, chunk)
        ):
            edits.append((chunk.start, chunk.stop, b""))
    return edits


def _holds_no_text(chunk: Segment) -> bool:
    """Return whether a chunk is part of the image and no longer than the specification allows."""
    return (
        not _is_ancillary(chunk)
        or chunk.name == _FRAME_DATA
        or chunk.size <= _BINARY_SIZES.get(chunk.name, 0)
    )


def _is_located_part(body: bytes, chunk: Segment) -> bool:
    return not _holds_no_text(chunk) and (
        _search(chunk.name, chunk.payload(body), SearchBudget()) is Search.LOCATED
    )


def _is_ancillary(chunk: Segment) -> bool:
    """Return whether bit 5 of the first letter is set (section 5.4)."""
    return bool(chunk.name[:1].islower())


def _search(name: bytes, payload: bytes, budget: SearchBudget) -> Search:
    if name in TEXT_CHUNKS:
        return _search_text(name, payload, budget)
    if name == _PROFILE:
        return _search_colour_profile(payload, budget)
    return _search_unknown(name, payload, budget)


def _search_colour_profile(payload: bytes, budget: SearchBudget) -> Search:
    """Search a profile (section 11.3.2.3). It stays if it is damaged or too long: a decoder ignores it or needs it."""
    if content.has_location(payload, budget.walk):
        return Search.LOCATED
    _, _, deflated = payload.partition(b"\0")
    search, _ = content.search_inflated(deflated[1:], budget)
    return search if search is Search.LOCATED else Search.CLEAN


def _search_text(name: bytes, payload: bytes, budget: SearchBudget) -> Search:
    keyword, deflated, text = split_text(name, payload)
    if _LOCATION_KEYWORD.search(keyword):
        return Search.LOCATED
    if deflated:
        search, text = content.search_inflated(text, budget)
    else:
        search = _located(content.has_location(text, budget.walk))
    if search is Search.CLEAN and keyword.lower().startswith(RAW_PROFILE):
        # A profile that is too long to be searched as a whole has not been decoded.
        return _search_profile(text, budget.walk) if text else Search.UNREADABLE
    return search


def _located(has_location: bool) -> Search:
    return Search.LOCATED if has_location else Search.CLEAN


def _search_profile(text: bytes, budget: WalkBudget) -> Search:
    profile = decode_profile(text)
    if profile is None:
        return Search.UNREADABLE
    return _located(content.profile_has_location(profile, budget))


def _search_unknown(name: bytes, payload: bytes, budget: SearchBudget) -> Search:
    """Search a chunk of an unknown type and deflated data in it: "zxIf" of ExifTool, texts of other names."""
    if content.has_location(payload, budget.walk):
        return Search.LOCATED
    for match in _DEFLATED.finditer(payload, 0, _HEAD):
        search, _ = content.search_inflated(payload[match.start() :], budget)
        if search is Search.LOCATED:
            return search
    return Search.UNREADABLE if name == _DEFLATED_EXIF else Search.CLEAN
