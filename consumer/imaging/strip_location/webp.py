"""Removes the location from WebP chunks: EXIF and XMP (RFC 9649, section 2.7.1.5). Drops chunks of unknown types."""

from consumer.imaging import exif
from consumer.imaging.ifd import WalkBudget
from consumer.imaging.result import Edit
from consumer.imaging.strip_location.edits import StripResult, strip_result
from consumer.imaging.strip_location.metadata import content, directories
from consumer.imaging.strip_location.metadata.orientation import needed_block
from consumer.imaging.structure import ImageStructure, Segment

_IMAGE_CHUNKS = frozenset({b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ANIM", b"ANMF"})
_EXIF, _XMP, _PROFILE = b"EXIF", b"XMP ", b"ICCP"
_SEARCHED = frozenset({_XMP, _PROFILE, b"C2PA"})
"""Chunks that stay if they have no location: XMP, the colour profile, and content credentials."""
_FLAGS = {_PROFILE: 0x20, _EXIF: 0x08, _XMP: 0x04}
_RIFF_SIZE = slice(4, 8)


def strip(body: bytes, structure: ImageStructure) -> StripResult:
    """Blank EXIF in place, and drop other chunks with a location. Does not touch pixel data.

    Drops all EXIF chunks but one, and all chunks of unknown types, with or without a location: some tools write the
    location in formats of their own.
    """
    edits: list[Edit] = []
    dropped: list[Segment] = []
    published = exif.published_chunk(body, structure, _EXIF)
    block, budget = b"", WalkBudget()
    had_location = other_metadata = False
    for chunk in structure.segments:
        if chunk.name in _IMAGE_CHUNKS:
            continue
        payload = chunk.payload(body)
        if chunk is published and exif.is_block(payload):
            block = payload
            after = directories.strip(payload, budget)
            if after is not payload:
                edits.append((chunk.data, chunk.data + chunk.size, after))
                had_location = True
            continue
        located = content.has_location(payload, budget)
        is_kept = chunk is published or chunk.name in _SEARCHED
        if located or not is_kept:
            edits.append((chunk.start, chunk.stop, b""))
            dropped.append(chunk)
            had_location = had_location or located
            other_metadata = other_metadata or not located
    if dropped:
        edits += _header_edits(body, structure, edits, dropped)
    return strip_result(
        body,
        edits,
        structure.end,
        had_location=had_location,
        exif=block,
        other_metadata=other_metadata,
    )


def strip_all(body: bytes, structure: ImageStructure, orientation: int) -> list[Edit]:
    """Drop all chunks that are no part of the image. EXIF becomes a block with the orientation alone."""
    block, edits = needed_block(orientation), list[Edit]()
    dropped: list[Segment] = []
    for chunk in structure.segments:
        if chunk.name == _EXIF and block:
            if chunk.payload(body) != block:
                size = len(block).to_bytes(4, "little")
                edits.append((chunk.start, chunk.stop, _EXIF + size + block))
            block = b""
        elif chunk.name not in _IMAGE_CHUNKS and not _is_clean_profile(body, chunk):
            edits.append((chunk.start, chunk.stop, b""))
            dropped.append(chunk)
    return [*edits, *_header_edits(body, structure, edits, dropped)] if edits else []


def _is_clean_profile(body: bytes, chunk: Segment) -> bool:
    return chunk.name == _PROFILE and not content.has_location(chunk.payload(body), WalkBudget())


def _header_edits(
    body: bytes, structure: ImageStructure, edits: list[Edit], dropped: list[Segment]
) -> list[Edit]:
    """Return the edits of the file size, and of the flags for the chunks of which none is left."""
    removed = sum(stop - start - len(replacement) for start, stop, replacement in edits)
    size = int.from_bytes(body[_RIFF_SIZE], "little") - removed
    header: list[Edit] = [(_RIFF_SIZE.start, _RIFF_SIZE.stop, size.to_bytes(4, "little"))]
    extended = structure.segments[0]
    if extended.name == b"VP8X" and extended.size:
        flags = body[extended.data]
        left = {chunk.name for chunk in set(structure.segments).difference(dropped)}
        for name in {chunk.name for chunk in dropped} - left:
            flags &= ~_FLAGS.get(name, 0)
        header.append((extended.data, extended.data + 1, bytes((flags,))))
    return header
