"""The result of every stripper, and the edits that produce it. Shared by all formats."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

Edit = tuple[int, int, bytes]
"""Start and stop of the bytes to replace, and their replacement."""


@dataclass(frozen=True, slots=True)
class StripResult:
    """The edits that remove the location from a body, and the body that they give.

    edits: in order, without overlaps, each before `end`. What follows `end` is cut off.
    exif: the block from which the image's facts are read, or empty.
    body: the result. If nothing changes, the same object as before.
    """

    edits: tuple[Edit, ...]
    end: int
    had_location: bool
    exif: bytes = field(repr=False)
    body: bytes = field(repr=False)


def strip_result(
    body: bytes, edits: Iterable[Edit], end: int, *, had_location: bool, exif: bytes = b""
) -> StripResult:
    """Apply the edits, in any order, to `body`. Raises ValueError for edits that overlap."""
    ordered = tuple(sorted(edits))
    return StripResult(ordered, end, had_location, exif, apply_edits(body, ordered, end))


def apply_edits(body: bytes, edits: Sequence[Edit], end: int) -> bytes:
    """Return `body` up to `end` with the edits made, which are in order.

    Returns `body` itself if nothing changes. Raises ValueError for edits that overlap or reach beyond the end.
    """
    if not edits and end == len(body):
        return body
    pieces: list[bytes | memoryview] = []
    view, at = memoryview(body), 0
    for start, stop, replacement in edits:
        if not at <= start <= stop <= end:
            raise ValueError("edits overlap")
        pieces += (view[at:start], replacement)
        at = stop
    pieces.append(view[at:end])
    return b"".join(pieces)
