from dataclasses import dataclass, field
from hashlib import sha256

from consumer.imaging import exif, location
from consumer.imaging.decode import decode
from consumer.imaging.policy import ImagePolicy
from consumer.imaging.probe import Probe, probe
from core.model.image import ImageMetadata

_QUARTER_TURNS = range(5, 9)


@dataclass(frozen=True, slots=True)
class Inspected:
    """body: to be stored; without location, and the very object that came where it held none.

    extension: without a dot.
    """

    body: bytes = field(repr=False)
    metadata: ImageMetadata
    extension: str


def inspect(body: bytes, policy: ImagePolicy, probed: Probe | None = None) -> Inspected:
    """Checks a picture, takes its location out, and reads its metadata. Synchronous, CPU-bound.

    `probed` is what `probe` said of this very body under this policy, where that is known already.

    Raises NotAnImage, UnsupportedFormat, CorruptImage, TooManyPixels and LocationNotRemovable.
    MemoryError passes.
    """
    found = probed or probe(body, policy)
    kind, shape = found.kind, found.layout
    cleaned = location.clean(kind, body, shape)
    facts = exif.read(cleaned.exif)
    decoded = decode(kind, cleaned, shape, policy, facts.orientation)
    turned = facts.orientation in _QUARTER_TURNS
    source_sha256 = sha256(body).hexdigest()
    unchanged = cleaned.body is body
    metadata = ImageMetadata(
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
