"""The result of an inspection: first edits and metadata, then the object to store. Imports no decoder."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256

from consumer.imaging.formats import format_named
from core.model.image import ImageMetadata

Edit = tuple[int, int, bytes | memoryview]
"""Start and stop of the bytes to replace, and their replacement."""
EDITS_MAX = 10_000
"""Edits of one body."""


RENDITIONS_BYTES_MAX = 8 * 1024 * 1024
"""Bytes of all renditions of one image together. A rendition that exceeds the limit fails."""


@dataclass(frozen=True, slots=True)
class MadeRendition:
    """An encoded rendition. width, height: pixels."""

    preset: str
    body: bytes = field(repr=False)
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class FailedRendition:
    """`code` is a core.errors.FailureCode; `message` a sentence for the customer."""

    preset: str
    code: str
    message: str


RenditionResult = MadeRendition | FailedRendition


@dataclass(frozen=True, slots=True)
class Examination:
    """The metadata of an image, and the edits that remove its location.

    metadata: `bytes`, `sha256` and `source_sha256` are empty. The worker computes them itself.
    edits: in order, without overlaps, each before `end`. What follows `end` is cut off.
    renditions: one for each that was requested, in this order.
    """

    metadata: ImageMetadata
    edits: tuple[Edit, ...] = field(repr=False)
    end: int
    renditions: tuple[RenditionResult, ...] = ()


@dataclass(frozen=True, slots=True)
class InspectionResult:
    """An image to store.

    body: without location. If there was none to remove, the same object that was inspected.
    extension: without a dot.
    renditions: one for each that was requested, in this order.
    """

    body: bytes = field(repr=False)
    metadata: ImageMetadata
    extension: str
    renditions: tuple[RenditionResult, ...] = ()

    @property
    def rendition_bytes(self) -> int:
        return sum(len(each.body) for each in self.renditions if isinstance(each, MadeRendition))


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


def apply_examination(body: bytes, examination: Examination) -> InspectionResult:
    """Apply the edits to `body`, and compute the hashes. Raises ValueError for edits that overlap."""
    stripped = apply_edits(body, examination.edits, examination.end)
    source_sha256 = sha256(body).hexdigest()
    metadata = replace(
        examination.metadata,
        bytes=len(stripped),
        sha256=source_sha256 if stripped is body else sha256(stripped).hexdigest(),
        source_sha256=source_sha256,
    )
    extension = format_named(metadata.format).extension
    return InspectionResult(stripped, metadata, extension, examination.renditions)
