import sys
from collections.abc import Sequence

import pytest
from PIL import Image

from consumer.imaging.formats import HEIC
from consumer.imaging.inspection import inspect, probe
from consumer.imaging.pillow import open_image
from consumer.imaging.policy import ImagePolicy
from consumer.imaging.structure.iso import hevc
from core.errors import CorruptImage, TooManyPixels, UnsupportedFormat
from harness.heic_files import (
    TILE_SIZE,
    box,
    coded_tile,
    configuration,
    heic,
    mirror,
    rotation,
)
from harness.images import IMAGES, exif_block, sample

POLICY = ImagePolicy()
AREA = 400 * 272
"""Pixels of the sample as coded: its height is a multiple of 8."""


def decoded(body: bytes) -> Image.Image:
    with open_image(HEIC, body) as image:
        image.load()
        return image.copy()


def test_a_grid_is_put_together_from_its_tiles() -> None:
    """Phones write a grid. Every tile is where it belongs, and all of them count."""
    body = heic(grid=(3, 2))
    tile, image = decoded(sample("cat.heic")), decoded(body)
    assert image.size == (3 * TILE_SIZE[0], 2 * TILE_SIZE[1])
    left, top = 2 * TILE_SIZE[0], TILE_SIZE[1]
    assert (
        image.crop((left, top, left + TILE_SIZE[0], top + TILE_SIZE[1])).tobytes() == tile.tobytes()
    )
    assert probe(body, POLICY).structure.pixels == 6 * AREA


@pytest.mark.parametrize(
    ("transformations", "method"),
    [
        ([rotation(1)], Image.Transpose.ROTATE_90),
        ([rotation(2)], Image.Transpose.ROTATE_180),
        ([mirror(1)], Image.Transpose.FLIP_LEFT_RIGHT),
        ([mirror(1), rotation(3)], Image.Transpose.TRANSVERSE),
    ],
)
def test_the_image_is_upright(transformations: Sequence[bytes], method: Image.Transpose) -> None:
    """The transformations of the container are applied, to the size too. An orientation in EXIF is not."""
    exif = exif_block(gps=False, orientation=6)
    body = heic(transformations=transformations, exif=exif)
    expected = decoded(sample("cat.heic")).transpose(method)
    assert decoded(body).tobytes() == expected.tobytes()
    metadata = inspect(body, POLICY).metadata
    assert (metadata.width, metadata.height) == expected.size


def test_an_image_with_alpha_has_it() -> None:
    """The alpha plane is an item of its own."""
    structure = probe(heic(alpha=True), POLICY).structure
    assert (structure.mode, structure.layout) == ("RGBA", "4:2:0, 8 bits, alpha")
    assert decoded(heic(alpha=True)).mode == "RGBA"


def test_ten_bits_become_eight() -> None:
    """Pillow has no mode with more for colours."""
    body = (IMAGES / "large/ten-bit-422.heic").read_bytes()
    structure = probe(body, POLICY).structure
    assert (structure.mode, structure.layout) == ("RGB", "4:2:2, 10 or 12 bits")
    assert decoded(body).mode == "RGB"


def test_camera_and_time_are_read() -> None:
    """EXIF of the primary image gives them."""
    exif = exif_block(
        gps=False, texts={0x010F: "Nokia", 0x0110: "9"}, details={0x9003: "2024:05:06 07:08:09"}
    )
    metadata = inspect(heic(exif=exif), POLICY).metadata
    assert (metadata.camera, metadata.capture_time) == ("Nokia 9", "2024-05-06T07:08:09")


def test_references_to_the_same_tile_count() -> None:
    """A small file may refer to its tile again and again."""
    with pytest.raises(TooManyPixels, match="in a frame"):
        probe(heic(references=1_000), POLICY)
    with pytest.raises(TooManyPixels, match="4,096 tiles"):
        probe(heic(references=5_000), POLICY)


def test_each_picture_of_an_item_counts() -> None:
    """A picture repeated in one item is decoded again and again."""
    structure = probe(heic(data=coded_tile() * 20), POLICY).structure
    assert (structure.frames, structure.hidden_frames) == (1, 19)
    assert structure.pixels == 20 * AREA
    with pytest.raises(TooManyPixels, match="20 frames, at most 19"):
        probe(heic(data=coded_tile() * 20), ImagePolicy(max_frames=19))


def test_the_limits_apply_to_the_coded_size_not_to_the_container() -> None:
    """A container that understates its images is charged for the sequence parameters."""
    with pytest.raises(TooManyPixels):
        probe(heic(declared=(16, 16)), ImagePolicy(max_pixels=AREA - 1))


@pytest.mark.parametrize("kind", [b"av01", b"j2k1", b"jpeg", b"vvc1"])
def test_images_of_another_coding_are_unsupported(kind: bytes) -> None:
    """The container may hold images that libde265 does not decode."""
    with pytest.raises(UnsupportedFormat, match=kind.decode()):
        probe(heic(tile_type=kind), POLICY)


def test_a_sequence_without_a_still_image_is_unsupported() -> None:
    """A track alone has no primary image."""
    body = box(b"ftyp", b"hevc\0\0\0\0msf1hevc") + box(b"moov", b"")
    with pytest.raises(UnsupportedFormat, match="HEIC without a still image"):
        probe(body, POLICY)


def test_heic_is_unsupported_without_its_decoder(monkeypatch: pytest.MonkeyPatch) -> None:
    """pi-heif is an optional dependency. The refusal tells why, and does not list HEIC as accepted."""
    monkeypatch.setitem(sys.modules, "pi_heif", None)
    with pytest.raises(UnsupportedFormat) as refused:
        probe(sample("cat.heic"), POLICY)
    assert "HEIC, because pi_heif is not installed; accepted are JPEG" in str(refused.value)
    assert str(refused.value).count("HEIC") == 1


@pytest.mark.parametrize("part", [b"hvcC", b"ispe", b"pitm", b"iprp"])
def test_a_missing_part_is_corrupt(part: bytes) -> None:
    """Without its size, its configuration or its primary item, an image is CORRUPT_IMAGE."""
    with pytest.raises(CorruptImage):
        probe(heic().replace(part, b"free"), POLICY)


def test_a_type_that_is_no_text_is_corrupt() -> None:
    """pi-heif would crash on it."""
    body = heic(exif=exif_block(gps=False))
    with pytest.raises(CorruptImage, match="no text"):
        inspect(body.replace(b"Exif\0", b"E\xffif\0", 1), POLICY)


def test_sequence_parameters_give_size_and_samples() -> None:
    """They are read from the configuration."""
    units = hevc.read_configuration(configuration()[8:]).units
    parameters = [
        hevc.read_parameters(unit)
        for unit in units
        if hevc.unit_type(unit) == hevc.SEQUENCE_PARAMETERS
    ]
    assert parameters == [(400, 272, 8, 0.5)]


@pytest.mark.parametrize("size", [2, 10, 16, 20])
def test_sequence_parameters_cut_short_are_corrupt(size: int) -> None:
    """Parameters that end before the size are CORRUPT_IMAGE."""
    (unit,) = (
        unit
        for unit in hevc.read_configuration(configuration()[8:]).units
        if hevc.unit_type(unit) == hevc.SEQUENCE_PARAMETERS
    )
    with pytest.raises(CorruptImage):
        hevc.read_parameters(unit[:size])


@pytest.mark.parametrize("cut", [10, 30, 60])
def test_a_configuration_cut_short_is_corrupt(cut: int) -> None:
    """A configuration that ends inside a unit is CORRUPT_IMAGE."""
    with pytest.raises(CorruptImage):
        hevc.read_configuration(configuration()[8 : 8 + cut])
