from dataclasses import dataclass

from consumer.imaging import decode_cost, structure
from consumer.imaging.formats import Format, sniff
from consumer.imaging.policy import ImagePolicy
from consumer.imaging.structure import Layout


@dataclass(frozen=True, slots=True)
class Probe:
    """What a body is, by its structure.

    decode_bytes: estimated peak memory in bytes of inspecting this body, the body included.
    """

    kind: Format
    layout: Layout
    decode_bytes: int


def probe(body: bytes, policy: ImagePolicy) -> Probe:
    """What inspecting will cost, from the body's structure alone; no pixel is decoded.

    Raises NotAnImage, UnsupportedFormat, CorruptImage (the structure ends too early) and
    TooManyPixels.
    """
    kind = sniff(body)
    shape = structure.read(kind, body, policy.max_frames)
    decode_cost.charge(shape, policy)
    return Probe(kind, shape, decode_cost.decode_bytes(kind, shape, len(body), policy))
