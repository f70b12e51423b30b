"""A PNG or WebP with several EXIF chunks is published with one of them, and without the location of any."""

from collections.abc import Callable, Sequence

import pytest

from consumer.imaging.formats import PNG, WEBP, Format
from consumer.imaging.inspection import inspect
from consumer.imaging.policy import ImagePolicy
from consumer.imaging.strip_location import strip_location
from consumer.imaging.structure import read_structure
from core.model.image import RemovedPart
from harness.images import exif_block, png_chunk, png_with, webp_with

MAKE = 0x010F
FIRST = exif_block(gps=False, texts={MAKE: "First"}, orientation=6)
SECOND = exif_block(gps=False, texts={MAKE: "Second"}, orientation=3)
LOCATED = exif_block(texts={MAKE: "Second"})
NO_BLOCK = b"no EXIF"


def png_with_exif(blocks: Sequence[bytes]) -> bytes:
    return png_with(*(png_chunk(b"eXIf", block) for block in blocks))


def webp_with_exif(blocks: Sequence[bytes]) -> bytes:
    return webp_with([(b"EXIF", block) for block in blocks], flags=0x08)


both = pytest.mark.parametrize(
    ("make", "image_format"), [(png_with_exif, PNG), (webp_with_exif, WEBP)], ids=["png", "webp"]
)
Make = Callable[[Sequence[bytes]], bytes]


@both
@pytest.mark.parametrize("others", [[SECOND], [NO_BLOCK], [SECOND, FIRST, NO_BLOCK]])
def test_the_first_block_is_published(
    make: Make, image_format: Format, others: list[bytes]
) -> None:
    """The facts are those of the published block, and the removal of the others is reported."""
    result = inspect(make([FIRST, *others]), ImagePolicy())
    assert result.body == make([FIRST])
    assert result.metadata.camera == "First"
    assert result.metadata.removed == (RemovedPart.METADATA,)
    assert not result.metadata.had_location
    assert result.metadata.format == image_format.name


@both
def test_a_chunk_that_is_no_block_gives_way_to_one(make: Make, image_format: Format) -> None:
    """If none is a block, the first stays: its damage is harmless."""
    assert inspect(make([NO_BLOCK, FIRST]), ImagePolicy()).body == make([FIRST])
    result = inspect(make([NO_BLOCK, NO_BLOCK * 2]), ImagePolicy())
    assert result.body == make([NO_BLOCK])
    assert result.metadata.format == image_format.name


@both
@pytest.mark.parametrize("blocks", [[FIRST, LOCATED], [LOCATED, FIRST], [FIRST, SECOND, LOCATED]])
def test_a_location_in_any_of_them_is_found(
    make: Make, image_format: Format, blocks: list[bytes]
) -> None:
    """Also in one that is dropped. A second search finds nothing."""
    result = inspect(make(blocks), ImagePolicy())
    assert result.metadata.had_location
    assert RemovedPart.LOCATION in result.metadata.removed
    again = strip_location(image_format, result.body, read_structure(image_format, result.body))
    assert again.body is result.body
    kept = inspect(make(blocks), ImagePolicy(metadata="keep"))
    assert kept.metadata.had_location
    assert kept.body == make(blocks)


@both
def test_strip_all_leaves_one_block_with_the_orientation(make: Make, image_format: Format) -> None:
    """The flag of a WebP that says so stays."""
    result = inspect(make([FIRST, SECOND]), ImagePolicy(metadata="strip-all"))
    block = exif_block(gps=False, orientation=6)
    assert read_structure(image_format, result.body) == read_structure(image_format, make([block]))
