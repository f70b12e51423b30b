from dataclasses import dataclass

from consumer.picture import budget, layout
from consumer.picture.formats import Format, sniff
from consumer.picture.layout import Layout
from consumer.picture.policy import PicturePolicy


@dataclass(frozen=True, slots=True)
class Probe:
    """What a body is, by its structure.

    decode_bytes: estimated peak memory in bytes of inspecting this body, the body included.
    """

    kind: Format
    layout: Layout
    decode_bytes: int


def probe(body: bytes, policy: PicturePolicy) -> Probe:
    """What inspecting will cost, from the body's structure alone; no pixel is decoded.

    Raises NotAnImage, UnsupportedFormat, CorruptImage (the structure ends too early) and
    TooManyPixels.
    """
    kind = sniff(body)
    shape = layout.read(kind, body, policy.max_frames)
    budget.charge(shape, policy)
    return Probe(kind, shape, budget.decode_bytes(kind, shape, len(body), policy))
