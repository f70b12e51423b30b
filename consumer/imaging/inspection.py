"""The two steps of the worker: `probe` reads the structure, `inspect` does all of the work."""

from dataclasses import dataclass, field
from hashlib import sha256

from consumer.imaging import exif, limits
from consumer.imaging.decode import decode
from consumer.imaging.formats import Format, sniff
from consumer.imaging.limits import ImagePolicy
from consumer.imaging.strip_location import strip_location
from consumer.imaging.structure import ImageStructure, read_structure
from core.model.image import ImageMetadata

_QUARTER_TURNS = range(5, 9)


@dataclass(frozen=True, slots=True)
class ImageProbe:
    """The format and the structure of a body.

    decode_bytes: estimated peak memory in bytes of inspecting this body, the body included.
    """

    format: Format
    structure: ImageStructure
    decode_bytes: int


@dataclass(frozen=True, slots=True)
class InspectionResult:
    """An image to store.

    body: without location. If there was none to remove, the same object that was inspected.
    extension: without a dot.
    """

    body: bytes = field(repr=False)
    metadata: ImageMetadata
    extension: str


def probe(body: bytes, policy: ImagePolicy) -> ImageProbe:
    """Read the structure of a body and check it against the limits. Decodes no pixel.

    Raises NotAnImage, UnsupportedFormat, CorruptImage (the structure ends too early) and TooManyPixels.
    """
    image_format = sniff(body)
    structure = read_structure(image_format, body, policy.max_frames)
    limits.check_limits(structure, policy)
    decode_bytes = limits.estimate_decode_bytes(image_format, structure, len(body), policy)
    return ImageProbe(image_format, structure, decode_bytes)


def inspect(body: bytes, policy: ImagePolicy, probed: ImageProbe | None = None) -> InspectionResult:
    """Check an image, remove its location, and read its metadata.

    probed: the result of `probe` for the same body and policy, if it is known already.

    Raises NotAnImage, UnsupportedFormat, CorruptImage, TooManyPixels and LocationNotRemovable.
    MemoryError is not caught.
    """
    probed = probed or probe(body, policy)
    image_format, structure = probed.format, probed.structure
    stripped = strip_location(image_format, body, structure)
    facts = exif.read_exif(stripped.exif)
    decoded = decode(image_format, stripped, structure, policy, facts.orientation)
    turned = facts.orientation in _QUARTER_TURNS
    source_sha256 = sha256(body).hexdigest()
    unchanged = stripped.body is body
    metadata = ImageMetadata(
        format=image_format.name,
        media_type=image_format.media_type,
        width=structure.height if turned else structure.width,
        height=structure.width if turned else structure.height,
        mode=decoded.mode,
        frames=structure.frames,
        bytes=len(stripped.body),
        sha256=source_sha256 if unchanged else sha256(stripped.body).hexdigest(),
        source_sha256=source_sha256,
        perceptual_hash=decoded.perceptual_hash,
        dominant_color=decoded.dominant_color,
        capture_time=facts.capture_time,
        camera=facts.camera,
        had_location=stripped.had_location,
    )
    return InspectionResult(stripped.body, metadata, image_format.extension)
