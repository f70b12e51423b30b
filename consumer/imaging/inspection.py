"""The two steps of a decoder process: `probe` reads the structure, `examine` does the rest of the work."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from consumer.imaging import exif, limits
from consumer.imaging.decode import decode
from consumer.imaging.formats import HEIC, PNG, Format, names_accepted_formats, sniff
from consumer.imaging.policy import ImagePolicy
from consumer.imaging.removed import removed_parts
from consumer.imaging.renditions import estimate_cost, make_renditions
from consumer.imaging.result import Examination, InspectionResult, apply_examination
from consumer.imaging.strip_location import StripResult, strip_location
from consumer.imaging.structure import ImageStructure, read_structure
from core.model.image import ANIMATION_DURATION_MAX_MS, ImageMetadata

_QUARTER_TURNS = range(5, 9)


@dataclass(frozen=True, slots=True)
class ImageProbe:
    """The format and the structure of a body.

    decode_bytes: estimated peak memory in bytes of inspecting this body, the body included.
    work_pixels: estimated time, see `limits.estimate_work`. Both include the renditions.
    """

    format: Format
    structure: ImageStructure
    decode_bytes: int
    work_pixels: int


@names_accepted_formats
def probe(body: bytes, policy: ImagePolicy, renditions: Sequence[str] = ()) -> ImageProbe:
    """Read the structure of a body and check it against the limits. Decodes no pixel.

    renditions: presets of the policy that `examine` will make.

    Raises NotAnImage, UnsupportedFormat, CorruptImage (the structure ends too early) and TooManyPixels.
    """
    image_format = sniff(body)
    structure = read_structure(
        image_format, body, policy.max_frames, accept_missing_end=policy.accept_missing_end
    )
    limits.check_limits(structure, policy)
    decode_bytes = limits.estimate_decode_bytes(image_format, structure, len(body), policy)
    work_pixels = limits.estimate_work(image_format, structure, policy)
    cost = estimate_cost(image_format, structure, len(body), policy, renditions)
    return ImageProbe(
        image_format,
        structure,
        max(decode_bytes, cost.memory_bytes),
        work_pixels + cost.work_pixels,
    )


@names_accepted_formats
def examine(
    body: bytes, policy: ImagePolicy, probed: ImageProbe, renditions: Sequence[str] = ()
) -> Examination:
    """Check an image, find its location, read its metadata, and make its renditions.

    probed: the result of `probe` for the same `renditions`, which are names of presets of the policy.

    Raises UnsupportedFormat, CorruptImage, TooManyPixels and LocationNotRemovable. MemoryError is not caught.
    """
    image_format, structure = probed.format, probed.structure
    stripped = strip_location(image_format, body, structure, policy.metadata)
    facts = _read_facts(probed, stripped, body)
    decoded = decode(image_format, stripped, structure, policy, facts.orientation)
    turned = facts.orientation in _QUARTER_TURNS
    metadata = ImageMetadata(
        format=image_format.name,
        media_type=image_format.media_type,
        width=structure.height if turned else structure.width,
        height=structure.width if turned else structure.height,
        mode=decoded.mode,
        frames=decoded.frames,
        bytes=0,
        sha256="",
        source_sha256="",
        perceptual_hash=decoded.perceptual_hash,
        dominant_color=decoded.dominant_color,
        capture_time=facts.capture_time,
        camera=facts.camera,
        had_location=stripped.had_location,
        animation_duration_ms=_duration_ms(structure) if decoded.frames > 1 else 0,
        removed=removed_parts(body, structure, stripped),
    )
    presets = {name: policy.presets[name] for name in renditions}
    made = make_renditions(image_format, stripped.body, structure, presets, facts.orientation)
    return Examination(metadata, stripped.edits, stripped.end, made)


def _read_facts(probed: ImageProbe, stripped: StripResult, body: bytes) -> exif.ExifFacts:
    facts = exif.read_exif(stripped.exif)
    if probed.format is PNG:
        return exif.complete_from_profile(facts, body, probed.structure)
    if probed.format is HEIC:
        # Its size is that after the transformations of the container, which alone count.
        return replace(facts, orientation=1)
    return facts


def _duration_ms(structure: ImageStructure) -> int:
    """Return the duration within the bound of the contract: delays are 32-bit numbers in some formats."""
    return min(structure.duration_ms, ANIMATION_DURATION_MAX_MS)


def inspect(body: bytes, policy: ImagePolicy, renditions: Sequence[str] = ()) -> InspectionResult:
    """Do in this process what the worker does with a decoder process: probe, examine, and apply the edits.

    Raises NotAnImage, UnsupportedFormat, CorruptImage, TooManyPixels and LocationNotRemovable.
    MemoryError is not caught.
    """
    probed = probe(body, policy, renditions)
    return apply_examination(body, examine(body, policy, probed, renditions))
