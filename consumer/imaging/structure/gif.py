"""GIF: reads the blocks (GIF89a specification)."""

from itertools import takewhile

from consumer.imaging.structure.image_structure import (
    MAX_SEGMENTS,
    ImageStructure,
    Segment,
    shown_ms,
)
from core.errors import CorruptImage

_EXTENSION, _IMAGE, _TRAILER = 0x21, 0x2C, 0x3B
IMAGE = b"\x2c"
"""Name of the segment of a frame. Its payload begins with the image descriptor, without its separator."""
_GRAPHIC_CONTROL = 0xF9
_SCREEN_SIZE = 13
_DELAY_UNIT_MS = 10


def read_structure(body: bytes) -> ImageStructure:
    """Raise CorruptImage unless every block is complete and the trailer is there.

    The segments are frames and extensions.

    A frame that reaches beyond the screen enlarges the canvas of all frames after it. So the size is
    the widest and highest reach of any frame.
    """
    try:
        return _walk(body)
    except IndexError:
        raise CorruptImage("it ends before its trailer") from None


def _walk(body: bytes) -> ImageStructure:
    width, height = _u16(body, 6), _u16(body, 8)
    extents: list[tuple[int, int]] = []
    segments: list[Segment] = []
    delay, duration = 0, 0.0
    at = _SCREEN_SIZE + color_table_size(body[10])
    for _ in range(MAX_SEGMENTS):
        label = body[at]
        if label == _TRAILER:
            return _to_structure(
                (width, height),
                extents,
                segments,
                end=at + 1,
                duration_ms=round(duration),
                layout=_layout(body, segments),
            )
        if label == _EXTENSION:
            if body[at + 1] == _GRAPHIC_CONTROL:
                delay = _u16(body, at + 4) * _DELAY_UNIT_MS
            start, at = at, _skip_sub_blocks(body, at + 2)
            segments.append(_extension(body, start, at))
        elif label == _IMAGE:
            # A delay is that of the next image only (section 23).
            delay, duration = 0, duration + shown_ms(delay)
            left, top = _u16(body, at + 1), _u16(body, at + 3)
            extents.append((left + _u16(body, at + 5), top + _u16(body, at + 7)))
            start, at = at, _skip_sub_blocks(body, at + 11 + color_table_size(body[at + 9]))
            segments.append(Segment(IMAGE, start, at, start + 1, at - start - 1))
        else:
            raise CorruptImage("it has an unknown block")
    raise CorruptImage(f"more than {MAX_SEGMENTS:,} blocks")


def _to_structure(
    screen: tuple[int, int],
    extents: list[tuple[int, int]],
    segments: list[Segment],
    *,
    end: int,
    duration_ms: int,
    layout: str,
) -> ImageStructure:
    if not extents:
        raise CorruptImage("it has no frame")
    area = max(screen[0], *(w for w, _ in extents)) * max(screen[1], *(h for _, h in extents))
    return ImageStructure(
        width=max(screen[0], extents[0][0]),
        height=max(screen[1], extents[0][1]),
        frames=len(extents),
        pixels=area * len(extents),
        largest=area,
        end=end,
        segments=tuple(segments),
        layout=layout,
        duration_ms=duration_ms,
    )


def _layout(body: bytes, segments: list[Segment]) -> str:
    """Tell whether the first frame is removed after it was shown (section 23): Pillow keeps what replaces it."""
    controls = takewhile(lambda each: each.name != IMAGE, segments)
    flags = (each.payload(body)[1:2] for each in controls if each.name[0] == _GRAPHIC_CONTROL)
    disposals = {each[0] >> 2 & 7 for each in flags if each}
    return "palette, with disposal" if disposals - {0, 1} else "palette"


def _extension(body: bytes, start: int, stop: int) -> Segment:
    """Name the segment by the label of the extension. Its payload is the sub-blocks with their lengths."""
    return Segment(body[start + 1 : start + 2], start, stop, start + 2, stop - start - 2)


def _skip_sub_blocks(body: bytes, at: int) -> int:
    """Return the offset after sub-blocks. Each begins with its length; the last has length zero."""
    while size := body[at]:
        at += size + 1
    return at + 1


def color_table_size(flags: int) -> int:
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _u16(body: bytes, at: int) -> int:
    return body[at] | body[at + 1] << 8
