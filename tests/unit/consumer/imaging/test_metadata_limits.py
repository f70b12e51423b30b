"""Limits on the work that the metadata of one file can cause."""

import pytest

from consumer.imaging.ifd import WalkBudget
from consumer.imaging.inspection import inspect
from consumer.imaging.policy import ImagePolicy
from consumer.imaging.strip_location.metadata import directories
from core.errors import CorruptImage
from harness.images import (
    exif_block,
    gradient_image,
    iptc_dataset,
    jpeg_segment,
    jpeg_with,
    photoshop_resource,
    png_chunk,
    png_with,
    raw_profile,
    tiff_directory,
    webp_with,
    xmp_packet,
)
from harness.located_chunks import gif_with
from harness.metadata_blocks import gif_extension
from harness.steps import count_steps

POLICY = ImagePolicy()
EXIF, PROFILE, PHOTOSHOP = b"Exif\0\0", b"ICC_PROFILE\0\1\1", b"Photoshop 3.0\0"
TABLE = tiff_directory(*[(1, 1, 8)] * 2_000)
"""An EXIF block of 2,000 entries without facts."""

# Pillow warns about a damaged EXIF block and skips it.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL")


RESOURCES = photoshop_resource(0x0405, b"") * 1_000
"""Photoshop writes about thirty."""


def tables(number: int) -> dict[str, bytes]:
    """Files with `number` EXIF blocks, in every place that allows more than one."""
    resource = photoshop_resource(0x0422, TABLE)
    return {
        "jpeg": jpeg_with(*[jpeg_segment(0xE1, EXIF + TABLE)] * number),
        "jpeg, oddly labelled": jpeg_with(*[jpeg_segment(0xE1, b"Exif\0\1" + TABLE)] * number),
        "photoshop": jpeg_with(*[jpeg_segment(0xED, PHOTOSHOP + resource)] * number),
        "png text": png_with(*[raw_profile("exif", TABLE)] * number),
    }


@pytest.mark.parametrize("body", tables(30).values(), ids=tables(1).keys())
def test_all_blocks_of_a_file_share_one_budget(body: bytes) -> None:
    """EXIF blocks that are each within the limits are corrupt if together they exceed them."""
    with pytest.raises(CorruptImage):
        inspect(body, POLICY)


def resources(kind: str, number: int) -> bytes:
    """Return a file with `number` times a thousand of Photoshop's image resources, in parts."""
    if kind == "png":
        return png_with(*[png_chunk(b"abCd", RESOURCES)] * number)
    if kind == "gif":
        return gif_with(*[gif_extension(b"\xfe", RESOURCES)] * number)
    return jpeg_with(*[jpeg_segment(0xED, PHOTOSHOP + RESOURCES)] * number)


@pytest.mark.parametrize("kind", ["png", "jpeg", "gif"])
def test_the_image_resources_of_a_file_share_its_budget(kind: str) -> None:
    """Each is searched, and it may be as short as twelve bytes."""
    few = resources(kind, 40)
    assert inspect(few, POLICY).body is few
    with pytest.raises(CorruptImage, match="too many parts"):
        inspect(resources(kind, 60), POLICY)


@pytest.mark.parametrize("body", tables(10).values(), ids=tables(1).keys())
def test_a_few_long_blocks_are_within_the_limits(body: bytes) -> None:
    """The limits allow more than any camera writes."""
    assert not inspect(body, POLICY).metadata.had_location


def overlapping_gps() -> bytes:
    """A GPS directory of 1,500 values, each of which is the whole block."""
    values = tiff_directory(*[(2, 6_000, 8)] * 1_500)[8:]
    pointer = tiff_directory((0x8825, 1, 26))
    return pointer + values + bytes(4_000)


OVERLAPPING = {
    "gps": webp_with([(b"EXIF", overlapping_gps())]),
    "thumbnails": png_with(
        png_chunk(
            b"eXIf",
            tiff_directory(*[(0x0201, 1, 8)] * 200, (0x0202, 1, 200_000)) + bytes(200_000),
        )
    ),
}


@pytest.mark.parametrize("body", OVERLAPPING.values(), ids=OVERLAPPING.keys())
def test_values_that_overlap_are_searched_within_limits(body: bytes) -> None:
    """Values that together are many times as large as their file are corrupt."""
    with pytest.raises(CorruptImage, match="overlaps"):
        inspect(body, POLICY)


@pytest.mark.parametrize("location", [b"", xmp_packet()], ids=["none", "in each"])
def test_the_work_for_the_thumbnails_of_a_directory_is_linear(location: bytes) -> None:
    """Each has the size that the directory gives. It is looked up once."""

    def steps(number: int) -> int:
        entries = [(0x0201, 1, 8 + 12 * number + 18)] * number
        block = tiff_directory(*entries, (0x0202, 1, len(location))) + location
        return count_steps(lambda: directories.strip(block, WalkBudget()))

    assert steps(400) < 3 * steps(200)


def tiff_sharing_iptc(pages: int) -> bytes:
    """Pages of one pixel whose IPTC entries all point to the same 4,000 bytes."""
    records = iptc_dataset(120, b"A caption") * 300
    body = b"II*\0" + (8 + len(records)).to_bytes(4, "little") + records
    for page in range(pages):
        entries = [(256, 1, 1), (257, 1, 1), (258, 1, 8), (262, 1, 1), (273, 1, 8), (278, 1, 1)]
        table = tiff_directory(*entries, (279, 1, 1), (33723, len(records) // 4, 8))[8:-4]
        following = len(body) + len(table) + 4 if page < pages - 1 else 0
        body += table + following.to_bytes(4, "little")
    return body


def test_pages_that_share_a_value_share_its_budget() -> None:
    """If several directories point to the same IPTC, the file's size limits how often it is searched."""
    assert inspect(tiff_sharing_iptc(1), POLICY).metadata.frames == 1
    with pytest.raises(CorruptImage, match="overlaps"):
        inspect(tiff_sharing_iptc(40), POLICY)


def test_a_tiff_gives_each_of_its_sizes_once() -> None:
    """A width with very many values is corrupt, because a decoder unpacks them all."""
    with pytest.raises(CorruptImage, match="more than once"):
        inspect(tiff_directory((256, 2, 8), (257, 1, 8)), POLICY)


SEVERAL = {
    "jpeg": jpeg_with(*[jpeg_segment(0xE1, EXIF)] * 129),
    "jpeg, oddly labelled": jpeg_with(*[jpeg_segment(0xE1, b"Exif\0\1")] * 129),
    "jpeg profile": jpeg_with(*[jpeg_segment(0xE2, PROFILE)] * 256),
}


@pytest.mark.parametrize("body", SEVERAL.values(), ids=SEVERAL.keys())
def test_very_many_metadata_segments_are_rejected(body: bytes) -> None:
    """More EXIF or colour profile segments than a format allows are corrupt."""
    with pytest.raises(CorruptImage, match="more than"):
        inspect(body, POLICY)


LONG_EXIF = exif_block(gps=False, texts={0x010E: "x" * 80_000})
LARGE = {
    "tiff": gradient_image("TIFF", (200, 200)),
    "png": png_with(png_chunk(b"eXIf", LONG_EXIF)),
    "webp": webp_with([(b"EXIF", LONG_EXIF)]),
}


@pytest.mark.parametrize("body", LARGE.values(), ids=LARGE.keys())
def test_a_large_block_without_an_exif_directory_is_read(body: bytes) -> None:
    """A missing pointer does not point to the header."""
    assert len(body) > 72_000
    assert inspect(body, POLICY).body is body


def test_sub_directories_that_share_a_table_of_strips_are_read_within_limits() -> None:
    """Each number of each table is read to find the end of the file. 1,000 such directories would take 18 s."""
    strips = 60_000
    image = (256, 1, 1), (257, 1, 1), (258, 1, 8), (262, 1, 1), (279, 1, 1)
    table_at = 8 + 2 + (len(image) + 2) * 12 + 4
    sub_at = table_at + 4 * strips
    main = tiff_directory(*image, (273, 1, 8), (330, 1, sub_at))
    table = (8).to_bytes(4, "little") * strips
    sub_size = 2 + 12 + 4

    def body(directories: int) -> bytes:
        chain = b"".join(
            tiff_directory((273, strips, table_at))[8:-4]
            + ((sub_at + number * sub_size) % (sub_at + directories * sub_size)).to_bytes(
                4, "little"
            )
            for number in range(1, directories + 1)
        )
        return main + table + chain

    assert inspect(body(2), POLICY).metadata.frames == 1
    with pytest.raises(CorruptImage, match="overlaps"):
        inspect(body(40), POLICY)
