"""GIF: blocks (GIF89a specification)."""

from consumer.imaging.structure.segments import MAX_PARTS, Layout
from core.errors import CorruptImage

_EXTENSION, _IMAGE, _TRAILER = 0x21, 0x2C, 0x3B
_SCREEN_SIZE = 13


def read(body: bytes) -> Layout:
    """Raises CorruptImage unless every block is whole and the trailer is there.

    A frame that reaches beyond the screen enlarges the canvas of all that follow, so the budget
    is charged for the widest and highest reach of any frame.
    """
    try:
        return _walk(body)
    except IndexError:
        raise CorruptImage("it ends before its trailer") from None


def _walk(body: bytes) -> Layout:
    width, height = _u16(body, 6), _u16(body, 8)
    extents: list[tuple[int, int]] = []
    at = _SCREEN_SIZE + _color_table(body[10])
    for _ in range(MAX_PARTS):
        kind = body[at]
        if kind == _TRAILER:
            return _layout((width, height), extents, end=at + 1)
        if kind == _EXTENSION:
            at = _after_data(body, at + 2)
        elif kind == _IMAGE:
            left, top = _u16(body, at + 1), _u16(body, at + 3)
            extents.append((left + _u16(body, at + 5), top + _u16(body, at + 7)))
            at = _after_data(body, at + 11 + _color_table(body[at + 9]))
        else:
            raise CorruptImage("it has an unknown block")
    raise CorruptImage(f"more than {MAX_PARTS:,} blocks")


def _layout(screen: tuple[int, int], extents: list[tuple[int, int]], end: int) -> Layout:
    if not extents:
        raise CorruptImage("it has no frame")
    area = max(screen[0], *(w for w, _ in extents)) * max(screen[1], *(h for _, h in extents))
    return Layout(
        width=max(screen[0], extents[0][0]),
        height=max(screen[1], extents[0][1]),
        frames=len(extents),
        pixels=area * len(extents),
        largest=area,
        end=end,
    )


def _after_data(body: bytes, at: int) -> int:
    """Past sub-blocks, each led by its length, the last of length zero."""
    while size := body[at]:
        at += size + 1
    return at + 1


def _color_table(flags: int) -> int:
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _u16(body: bytes, at: int) -> int:
    return body[at] | body[at + 1] << 8
