from dataclasses import dataclass
from typing import Literal

Verification = Literal["full", "draft", "header"]


@dataclass(frozen=True, slots=True)
class ImagePolicy:
    """What a picture may cost, and how thoroughly it is checked.

    max_pixels: the budget in pixels, frames x width x height, the sum where frames differ in size.
        A single frame is bounded by Pillow's own bomb threshold as well (`Image.MAX_IMAGE_PIXELS`,
        89,478,485), so that Pillow's warning can never be what decides.
    max_frames: frames, pages or animation steps in one file.
    verification: `draft` decodes every frame, a JPEG at down to an eighth of its size, which reads
        all of its data at half the cost. `full` decodes everything at its size. `header` decodes
        nothing: for origins that are known to be good. There is then no perceptual hash and no
        dominant colour, and damage inside the pixel data goes unseen.
    """

    max_pixels: int = 100_000_000
    max_frames: int = 1_000
    verification: Verification = "draft"
