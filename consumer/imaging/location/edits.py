from collections.abc import Sequence
from dataclasses import dataclass

Edit = tuple[int, int, bytes]
"""Start and stop of the bytes that are replaced, and what comes in their place."""


@dataclass(frozen=True, slots=True)
class Cleaned:
    """body: without its location; the same object where there was nothing to remove.

    exif: the block that the picture's facts are read from, or empty.
    """

    body: bytes
    had_location: bool
    exif: bytes = b""


def splice(body: bytes, edits: Sequence[Edit], end: int) -> bytes:
    """`body` up to `end` with its edits made; `body` itself where that changes nothing."""
    if not edits and end == len(body):
        return body
    pieces: list[bytes | memoryview] = []
    view, at = memoryview(body), 0
    for start, stop, replacement in sorted(edits):
        pieces += (view[at:start], replacement)
        at = stop
    pieces.append(view[at:end])
    return b"".join(pieces)
