"""GIF: reads the blocks (GIF89a specification)."""

import re
from itertools import takewhile
from typing import NamedTuple

from consumer.imaging.structure.image_structure import (
    ImageStructure,
    Segment,
    append_bounded,
    shown_ms,
)
from core.errors import CorruptImage

STRAY, IMAGE, GRAPHIC_CONTROL = b"", b"\x2c", b"\xf9"
"""Names of segments. Each other segment is an extension, named by its label.

The payload of a frame begins with the image descriptor, without its separator. That of an extension are its sub-blocks
with their lengths.
"""
SCREEN_SIZE = 13
_EXTENSION, _IMAGE, _TRAILER = 0x21, 0x2C, 0x3B
_EXTENSION_LABELS = frozenset({0x01, 0xF9, 0xFE, 0xFF})
_NEXT_BLOCK = re.compile(rb"[!,]")
_DELAY_UNIT_MS = 10
_STRAY_MAX = 256
"""In one place. A damaged block leaves more."""
_RESERVED = 0x18
"""Bits of a frame's flags that are zero (section 20)."""
_CODE_SIZES = range(1, 12)


class _Extent(NamedTuple):
    """How far a frame reaches, and how long it is shown."""

    right: int
    bottom: int
    shown_ms: float


def read_structure(body: bytes) -> ImageStructure:
    """Read every block. The segments are the extensions, the frames, and stray bytes between blocks.

    Like other readers, accepts a few stray bytes, and the end of the body after a whole frame instead of the trailer.
    A frame that reaches beyond the screen enlarges the canvas of all frames after it. So the size is
    the widest and highest reach of any frame.
    Raises CorruptImage if a block is cut short, for more than _STRAY_MAX stray bytes in one place, or if the body ends
    between a graphic control and its frame.
    """
    try:
        return _walk(body)
    except IndexError:
        raise CorruptImage("it ends inside a block") from None


def _walk(body: bytes) -> ImageStructure:
    extents: list[_Extent] = []
    segments: list[Segment] = []
    delay: int | None = None
    at = SCREEN_SIZE + color_table_size(body[10])
    while True:
        last_stop, at = at, _next_block(body, at)
        if at - last_stop > _STRAY_MAX:
            raise CorruptImage(f"more than {_STRAY_MAX} stray bytes between blocks")
        if at == len(body):
            break
        if at > last_stop:
            append_bounded(segments, Segment(STRAY, last_stop, at, last_stop, at - last_stop))
        if body[at] == _TRAILER:
            return _to_structure(body, segments, extents, end=at + 1)
        start = at
        if body[at] == _EXTENSION:
            name, data = body[at + 1 : at + 2], at + 2
            if name == GRAPHIC_CONTROL:
                delay = _u16(body, at + 4) * _DELAY_UNIT_MS
            at = _skip_sub_blocks(body, data)
        else:
            # A delay is that of the next image only (section 23).
            extents.append(_extent(body, at, delay or 0))
            name, data, delay = IMAGE, at + 1, None
            at = _skip_sub_blocks(body, at + 11 + color_table_size(body[at + 9]))
        append_bounded(segments, Segment(name, start, at, data, at - data))
    if delay is not None:
        raise CorruptImage("it ends before a frame")
    return _to_structure(body, segments, extents, end=last_stop)


def _next_block(body: bytes, start: int) -> int:
    """Return the offset of the next block, of the trailer, or of the end. What is before it is stray.

    Among stray bytes other than zero, only a plausible block counts, and no trailer: damage leaves such bytes behind.
    """
    at = start
    while at < len(body) and body[at] == 0:
        at += 1
    if at == len(body) or body[at] in {_EXTENSION, _IMAGE, _TRAILER}:
        return at
    while match := _NEXT_BLOCK.search(body, at):
        at = match.start()
        if _is_plausible(body, at):
            return at
        at += 1
    return len(body) - body.endswith(b";")


def _is_plausible(body: bytes, at: int) -> bool:
    try:
        if body[at] == _EXTENSION:
            return body[at + 1] in _EXTENSION_LABELS
        flags = body[at + 9]
        left, top, width, height = (_u16(body, at + offset) for offset in (1, 3, 5, 7))
        inside = left + width <= _u16(body, 6) and top + height <= _u16(body, 8)
        code_size = body[at + 10 + color_table_size(flags)]
    except IndexError:
        return False
    return inside and min(width, height) > 0 and not flags & _RESERVED and code_size in _CODE_SIZES


def _extent(body: bytes, at: int, delay: int) -> _Extent:
    left, top, width, height = (_u16(body, at + offset) for offset in (1, 3, 5, 7))
    return _Extent(left + width, top + height, shown_ms(delay))


def _to_structure(
    body: bytes, segments: list[Segment], extents: list[_Extent], *, end: int
) -> ImageStructure:
    if not extents:
        raise CorruptImage("it has no frame")
    width, height = _u16(body, 6), _u16(body, 8)
    area = max(width, *(each.right for each in extents)) * max(
        height, *(each.bottom for each in extents)
    )
    return ImageStructure(
        width=max(width, extents[0].right),
        height=max(height, extents[0].bottom),
        frames=len(extents),
        pixels=area * len(extents),
        largest=area,
        end=end,
        segments=tuple(segments),
        layout=_layout(body, segments),
        duration_ms=round(sum(each.shown_ms for each in extents)),
    )


def _layout(body: bytes, segments: list[Segment]) -> str:
    """Return the layout. With disposal, Pillow keeps the pixels that replace a removed frame (section 23)."""
    controls = takewhile(lambda each: each.name != IMAGE, segments)
    flags = (each.payload(body)[1:2] for each in controls if each.name == GRAPHIC_CONTROL)
    disposals = {each[0] >> 2 & 7 for each in flags if each}
    return "palette, with disposal" if disposals - {0, 1} else "palette"


def _skip_sub_blocks(body: bytes, at: int) -> int:
    """Return the offset after sub-blocks. Each begins with its length; the last has length zero."""
    while size := body[at]:
        at += size + 1
    return at + 1


def color_table_size(flags: int) -> int:
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _u16(body: bytes, at: int) -> int:
    return body[at] | body[at + 1] << 8
