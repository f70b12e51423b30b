"""What a rendition shows of an image, and at which size. Arithmetic."""

from dataclasses import dataclass

from consumer.imaging.formats import JPEG, Format
from consumer.imaging.structure import ImageStructure
from core.model.rendition import Presets, RenditionPreset

QUARTER_TURNS = range(5, 9)
"""Orientations of an image that is displayed on its side."""
_DRAFT_SCALES = (8, 4, 2)
"""Divisors of the size at which libjpeg can decode."""
_REDUCING_GAP = 2
"""Whole pixels are averaged down to this multiple of the size at least, then the rest is resampled."""


@dataclass(frozen=True, slots=True)
class Crop:
    """The centred part of an image that a rendition shows, and the size at which it shows it. In pixels.

    image: width and height of the image, without a draft scale.
    """

    image: tuple[int, int]
    part: tuple[float, float]
    size: tuple[int, int]

    @classmethod
    def of(cls, image: tuple[int, int], preset: RenditionPreset, *, turned: bool) -> "Crop":
        """Fit an image of this width and height into the preset's box. `turned`: it is displayed on its side.

        Nothing is enlarged. An image that is smaller than a `cover` box is cut to the box's aspect ratio.
        """
        width, height = image
        box_width, box_height = (
            (preset.height, preset.width) if turned else (preset.width, preset.height)
        )
        scales = (box_width / width, box_height / height)
        if preset.fit == "contain":
            scale = min(1.0, *scales)
            return cls(image, (width, height), (_pixels(width * scale), _pixels(height * scale)))
        scale = min(1.0, max(scales))
        shrunk = min(1.0, width / box_width, height / box_height)
        shown = (box_width * shrunk, box_height * shrunk)
        part = (shown[0] / scale, shown[1] / scale)
        return cls(image, part, (_pixels(shown[0]), _pixels(shown[1])))

    def draft_scale(self) -> int:
        """Return the largest divisor of libjpeg that leaves at least as many pixels as the rendition has."""
        shrinks = [part // side for part, side in zip(self.part, self.size, strict=True)]
        return next((scale for scale in _DRAFT_SCALES if min(shrinks) >= scale), 1)

    def reduction(self, size: tuple[int, int]) -> int:
        """Return the factor by which an image of this size is reduced before it is resampled."""
        width, height = self._part_of(size)
        return max(1, int(min(width / self.size[0], height / self.size[1]) / _REDUCING_GAP))

    def box(self, size: tuple[int, int]) -> tuple[float, float, float, float]:
        """Return left, top, right and bottom of the part in an image of this size."""
        width, height = self._part_of(size)
        left, top = (size[0] - width) / 2, (size[1] - height) / 2
        return left, top, left + width, top + height

    def _part_of(self, size: tuple[int, int]) -> tuple[float, float]:
        return self.part[0] * size[0] / self.image[0], self.part[1] * size[1] / self.image[1]


def by_draft_scale(
    image_format: Format, structure: ImageStructure, presets: Presets, *, turned: bool
) -> dict[int, list[str]]:
    """Return the presets by the divisor at which the image is decoded for them: 1, except for JPEG."""
    if image_format is not JPEG:
        return {1: list(presets)}
    groups: dict[int, list[str]] = {}
    for name, preset in presets.items():
        crop = Crop.of((structure.width, structure.height), preset, turned=turned)
        groups.setdefault(crop.draft_scale(), []).append(name)
    return groups


def _pixels(length: float) -> int:
    return max(1, round(length))
