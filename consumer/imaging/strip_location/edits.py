"""The result of every stripper, and the edits that produce it. Shared by all formats."""

from collections.abc import Sequence
from dataclasses import dataclass

Edit = tuple[int, int, bytes]
"""Start and stop of the bytes to replace, and their replacement."""


@dataclass(frozen=True, slots=True)
class StripResult:
    """body: without location. If there was nothing to remove, the same object as before.

    exif: the block from which the image's facts are read, or empty.
    """

    body: bytes
    had_location: bool
    exif: bytes = b""


def apply_edits(body: bytes, edits: Sequence[Edit], end: int) -> bytes:
    """Return `body` up to `end` with the edits made. Returns `body` itself if nothing changes."""
    if not edits and end == len(body):
        return body
    pieces: list[bytes | memoryview] = []
    view, at = memoryview(body), 0
    for start, stop, replacement in sorted(edits):
        pieces += (view[at:start], replacement)
        at = stop
    pieces.append(view[at:end])
    return b"".join(pieces)
