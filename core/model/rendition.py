"""The renditions of a published image, and the presets that define them. Pure.

Renditions are in a row of their own, so that the image's record never changes.
"""

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from core.errors import ImageFailure
from core.model.image import object_key


@dataclass(frozen=True, slots=True)
class RenditionPreset:
    """How to make a rendition.

    width, height: the box in pixels. fit: `contain` keeps the whole image inside the box; `cover` fills the aspect
    ratio of the box and cuts off the edges evenly. Neither enlarges. format: JPEG, WEBP or AVIF. quality: 1 to 100, on
    the encoder's own scale. default_for: formats of images that get this rendition without being asked.
    """

    width: int
    height: int
    fit: str
    format: str
    quality: int
    default_for: tuple[str, ...] = ()

    @property
    def definition(self) -> str:
        """A hash of all that determines the bytes of a rendition, 16 hexadecimal digits."""
        text = f"{self.width} {self.height} {self.fit} {self.format} {self.quality}"
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def media_type(self) -> str:
        return f"image/{self.format.lower()}"

    @property
    def extension(self) -> str:
        """Of the stored object, without a dot."""
        return "jpg" if self.format == "JPEG" else self.format.lower()


Presets = Mapping[str, RenditionPreset]
"""The presets of an installation, by name."""


def wanted_renditions(
    presets: Presets, requested: Collection[str], image_format: str
) -> tuple[str, ...]:
    """Return the presets to make of an image of this format: those requested, then the format's defaults.

    A requested name that this process does not know is left out.
    """
    known = [name for name in requested if name in presets]
    defaults = (name for name, preset in presets.items() if image_format in preset.default_for)
    return tuple(dict.fromkeys((*known, *defaults)))


@dataclass(frozen=True, slots=True)
class Rendition:
    """A rendition, or the reason why there is none.

    definition: `RenditionPreset.definition` of the preset when the rendition was made. s3_url: `s3://<bucket>/<key>`.
    width, height: pixels. bytes, sha256: of the stored object. A failed rendition has a failure_code instead of these.
    """

    preset: str
    definition: str
    s3_url: str = ""
    media_type: str = ""
    width: int = 0
    height: int = 0
    bytes: int = 0
    sha256: str = ""
    failure_code: str = ""
    failure_message: str = ""

    @property
    def failed(self) -> bool:
        return bool(self.failure_code)

    def is_outdated(self, preset: RenditionPreset | None) -> bool:
        """Return whether to make it again: it failed, or `preset`, its preset of today, makes another one."""
        return self.failed or (preset is not None and preset.definition != self.definition)

    def public_url(self, base: str) -> str:
        """Return the public URL; empty if the rendition failed. `base` ends with a slash."""
        return base + object_key(self.s3_url) if self.s3_url else ""


def failed_rendition(preset: str, failure: ImageFailure) -> Rendition:
    """Return the failure of a rendition before a decoder made it. CreateRenditions makes it again."""
    return Rendition(preset, "", failure_code=failure.code.value, failure_message=str(failure))


def renditions_id(image_id: str) -> str:
    """Return the key of the row of an image's renditions. No image has this id: it is no UUID."""
    return f"{image_id}#renditions"


def is_renditions_id(key: str) -> bool:
    return key.endswith("#renditions")


def join_names(names: tuple[str, ...]) -> str:
    """Return names of presets as one text, as messages carry them. A name contains no comma."""
    return ",".join(names)


def split_names(text: str) -> tuple[str, ...]:
    return tuple(text.split(",")) if text else ()
