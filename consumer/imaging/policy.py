"""The policy of an installation for images: limits, depth of the check, metadata. Imports no decoder."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from core.model.rendition import Presets, RenditionPreset

Verification = Literal["full", "draft", "header"]
MetadataPolicy = Literal["keep", "strip-location", "strip-all"]


@dataclass(frozen=True, slots=True)
class ImagePolicy:
    """Limits on an image, how thoroughly it is checked, and which metadata is published.

    max_pixels: frames x width x height; the sum if frames differ in size. One frame is also limited
        by Pillow's threshold for decompression bombs (`Image.MAX_IMAGE_PIXELS`, 89,478,485), so that
        Pillow's warning never decides.
    max_frames: frames, pages or animation steps in one file.
    verification: `draft` decodes every frame, a JPEG at down to an eighth of its size, which reads
        all of its data at half the cost. `full` decodes everything at full size. `header` decodes
        nothing: for trusted origins. It gives no perceptual hash and no dominant colour, and does
        not detect damage inside the pixel data.
    accept_missing_end: a JPEG or PNG without its end marker is accepted if all of its pixels are there.
    metadata: `strip-location` removes the location and what follows the image. `strip-all` removes
        all metadata except the orientation and the colour profile. `keep` publishes the body as it is.
    presets: of the renditions that can be made.
    """

    max_pixels: int = 100_000_000
    max_frames: int = 1_000
    verification: Verification = "draft"
    accept_missing_end: bool = False
    metadata: MetadataPolicy = "strip-location"
    presets: Presets = field(default_factory=dict)

    @property
    def rules(self) -> str:
        """The rules for images without renditions, as one text: equal rules make the same image of the same body."""
        return (
            f"{self.metadata} {self.verification} {self.max_pixels} {self.max_frames} "
            f"{self.accept_missing_end}"
        )


def policy_of(members: Mapping[str, Any]) -> ImagePolicy:
    """Return the policy with these members, as `asdict` and JSON leave them."""
    presets = {
        name: RenditionPreset(**{**preset, "default_for": tuple(preset["default_for"])})
        for name, preset in members["presets"].items()
    }
    return ImagePolicy(**{**members, "presets": presets})
