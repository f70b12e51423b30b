"""ExifTool finds no location in what is published of images of every kind."""

import pytest

from consumer.imaging.inspection import inspect
from consumer.imaging.policy import ImagePolicy, MetadataPolicy
from harness import exiftool
from harness.images import IMAGES
from harness.located_images import LOCATED

# Pillow warns about a damaged EXIF block and skips it.
pytestmark = pytest.mark.filterwarnings("ignore:Corrupt EXIF data:UserWarning:PIL")

SAMPLES = {
    path.name: path.read_bytes() for path in sorted(IMAGES.glob("*.*")) if path.suffix != ".md"
}
KINDS = {**LOCATED, **SAMPLES}
SEEN_LEAST = 70
"""Kinds in whose source ExifTool finds the location. It skips most of the unusual labels."""


@pytest.fixture(scope="session", autouse=True)
def _exiftool_is_installed() -> None:
    assert exiftool.available(), "install libimage-exiftool-perl"


def test_exiftool_finds_the_location_of_most_sources() -> None:
    """The search finds what it should."""
    found = exiftool.read_location_tags([(body, _extension(body)) for body in LOCATED.values()])
    assert sum(map(bool, found)) >= SEEN_LEAST


@pytest.mark.parametrize("policy", ["strip-location", "strip-all"])
def test_exiftool_finds_no_location_in_published_images(policy: MetadataPolicy) -> None:
    """Neither in generated images of every kind, nor in the samples."""
    inspected = [inspect(body, ImagePolicy(metadata=policy)) for body in KINDS.values()]
    found = exiftool.read_location_tags([(each.body, each.extension) for each in inspected])
    assert not {name: tags for name, tags in zip(KINDS, found, strict=True) if tags}


def _extension(body: bytes) -> str:
    return inspect(body, ImagePolicy(metadata="keep")).extension
