from dataclasses import dataclass, field
from hashlib import sha256

from consumer.picture import budget, exif, layout, location
from consumer.picture.decode import decode
from consumer.picture.formats import sniff
from consumer.picture.policy import PicturePolicy
from core.image import PictureMetadata

_QUARTER_TURNS = range(5, 9)


@dataclass(frozen=True, slots=True)
class Inspected:
    """body: to be stored; without location, and the very object that came where it held none.

    extension: without a dot.
    """

    body: bytes = field(repr=False)
    metadata: PictureMetadata
    extension: str


def inspect(body: bytes, policy: PicturePolicy) -> Inspected:
    """Checks a picture, takes its location out, and reads its metadata. Synchronous, CPU-bound.

    Raises NotAnImage, UnsupportedFormat, CorruptImage, TooManyPixels and LocationNotRemovable.
    MemoryError passes.
    """
    kind = sniff(body)
    shape = layout.read(kind, body, policy.max_frames)
    budget.charge(shape, policy)
    cleaned = location.clean(kind, body, shape)
    facts = exif.read(cleaned.exif)
    decoded = decode(kind, cleaned, shape, policy, facts.orientation)
    turned = facts.orientation in _QUARTER_TURNS
    source_sha256 = sha256(body).hexdigest()
    unchanged = cleaned.body is body
    metadata = PictureMetadata(
        format=kind.name,
        media_type=kind.media_type,
        width=shape.height if turned else shape.width,
        height=shape.width if turned else shape.height,
        mode=decoded.mode,
        frames=shape.frames,
        bytes=len(cleaned.body),
        sha256=source_sha256 if unchanged else sha256(cleaned.body).hexdigest(),
        source_sha256=source_sha256,
        perceptual_hash=decoded.perceptual_hash,
        dominant_color=decoded.dominant_color,
        capture_time=facts.capture_time,
        camera=facts.camera,
        had_location=cleaned.had_location,
    )
    return Inspected(cleaned.body, metadata, kind.extension)
