from dataclasses import dataclass

from consumer.picture import budget, layout
from consumer.picture.formats import sniff
from consumer.picture.policy import PicturePolicy


@dataclass(frozen=True, slots=True)
class Probe:
    """width, height: pixels as stored, before any orientation. extension: without a dot.

    decode_bytes: estimated peak memory in bytes of inspecting this body, the body included.
    """

    format: str
    media_type: str
    extension: str
    width: int
    height: int
    frames: int
    decode_bytes: int


def probe(body: bytes, policy: PicturePolicy) -> Probe:
    """What inspecting will cost, from the body's structure alone; no pixel is decoded.

    Raises NotAnImage, UnsupportedFormat, CorruptImage (the structure ends too early) and
    TooManyPixels.
    """
    kind = sniff(body)
    shape = layout.read(kind, body, policy.max_frames)
    budget.charge(shape, policy)
    return Probe(
        kind.name,
        kind.media_type,
        kind.extension,
        shape.width,
        shape.height,
        shape.frames,
        budget.decode_bytes(kind, shape, len(body), policy),
    )
