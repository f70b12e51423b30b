"""Reads the file of rendition presets, RENDITIONS_FILE. Servers and consumers read the same file at start.

[presets.thumbnail]
longest_side = 256
format = "WEBP"
default_for = ["HEIC", "TIFF"]

[presets.card]
width = 640
height = 360
fit = "cover"
format = "JPEG"
quality = 75
"""

import tomllib
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)

from core.model.rendition import Presets, RenditionPreset

MAX_PRESETS = 16
MAX_SIDE = 4_096
"""Pixels."""

Side = Annotated[int, Field(ge=1, le=MAX_SIDE)]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]{1,32}$")]
SourceFormat = Literal["JPEG", "PNG", "GIF", "WEBP", "AVIF", "HEIC", "TIFF", "BMP"]
"""A format of images, as in ImageMetadata.format."""


class PresetTable(BaseModel):
    """One preset of the file: longest_side, or width and height, and the members of RenditionPreset."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    longest_side: Side | None = None
    width: Side | None = None
    height: Side | None = None
    fit: Literal["contain", "cover"] = "contain"
    format: Literal["JPEG", "WEBP", "AVIF"]
    quality: int = Field(80, ge=1, le=100)
    default_for: tuple[SourceFormat, ...] = ()

    @model_validator(mode="after")
    def _has_one_box(self) -> Self:
        sides = self.longest_side, self.width, self.height
        if [side is not None for side in sides] not in ([True, False, False], [False, True, True]):
            raise ValueError("it must have either longest_side or both width and height")
        if self.fit == "cover" and self.longest_side is not None:
            raise ValueError('fit = "cover" needs width and height')
        return self

    @property
    def preset(self) -> RenditionPreset:
        longest = self.longest_side or 0
        return RenditionPreset(
            width=self.width or longest,
            height=self.height or longest,
            fit=self.fit,
            format=self.format,
            quality=self.quality,
            default_for=self.default_for,
        )


class PresetFile(BaseModel):
    """The content of the file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    presets: dict[Name, PresetTable] = Field(default_factory=dict, max_length=MAX_PRESETS)

    @property
    def by_name(self) -> Presets:
        return {name: table.preset for name, table in self.presets.items()}


def _read(path: object) -> object:
    """Return the content of the file, not validated. Raises ValueError with the reason."""
    if not isinstance(path, str):
        return path
    try:
        return tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{path}: {error}") from None


ReadPresetFile = Annotated[PresetFile, BeforeValidator(_read)]
"""The type of a setting whose variable has the path of the file, and whose value is the content."""
