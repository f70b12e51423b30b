"""Limits on the work that the boxes and the coded units of one AVIF or HEIC can cause."""

import pytest

from consumer.imaging.inspection import inspect, probe
from consumer.imaging.policy import ImagePolicy
from consumer.imaging.structure.iso import av1, avif, hevc
from core.errors import CorruptImage
from harness.heic_files import box, coded_tile, configuration, full_box, heic, number
from harness.images import exif_block, gradient_image

POLICY = ImagePolicy()
AVIF, HEIC = gradient_image("AVIF"), heic()


def track_with_headers(headers: int, runs: int) -> bytes:
    """An AV1 track without samples. Its media header is repeated, and its samples have many times."""
    entries = full_box(b"stsd", number(1, 4) + box(b"av01", b""))
    times = full_box(b"stts", number(runs, 4) + bytes(7) + b"\1" + bytes(8 * runs - 8))
    tables = full_box(b"stsz", bytes(8)) + full_box(b"stsc", bytes(4)) + times
    media = full_box(b"mdhd", bytes(20)) * headers
    media += full_box(b"hdlr", bytes(4) + b"pict" + bytes(13))
    media += box(b"minf", box(b"stbl", entries + tables))
    return box(b"moov", box(b"trak", box(b"mdia", media)))


def many_locations(boxes: int) -> bytes:
    """A metadata box with location tables of 65,535 items without extents each."""
    table = bytes(2) + number(65_535) + bytes(65_535 * 6)
    return box(b"moov", full_box(b"meta", full_box(b"iloc", table) * boxes))


def many_boxes(parents: int) -> bytes:
    return box(b"moov", box(b"abcd", b"") * 70_000) * parents


FEW = {
    "times": AVIF + track_with_headers(2, 70_000),
    "items": AVIF + many_locations(1),
    "boxes": AVIF + box(b"moov", box(b"abcd", b"") * 9_000),
}
MANY = {
    "times": AVIF + track_with_headers(3, 70_000),
    "items": AVIF + many_locations(4),
    "boxes": AVIF + many_boxes(3),
    "boxes of a HEIC": HEIC + many_boxes(3),
}


@pytest.mark.parametrize("body", FEW.values(), ids=FEW)
def test_long_tables_are_within_the_limits(body: bytes) -> None:
    """The limits allow more than any camera writes."""
    assert inspect(body, POLICY).body is body


@pytest.mark.parametrize("body", MANY.values(), ids=MANY)
def test_all_boxes_and_tables_of_a_file_share_one_limit(body: bytes) -> None:
    """Tables that are each within the limit are corrupt if the file has, or repeats, too many."""
    with pytest.raises(CorruptImage, match=r"more than [\d,]+ boxes and"):
        inspect(body, POLICY)


def test_tiles_share_one_reading_of_their_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    """A configuration may be as long as the file, and each of its tiles refers to it."""
    read, records = hevc.read_configuration, list[bytes]()

    def count(record: bytes) -> hevc.Configuration:
        records.append(record)
        return read(record)

    monkeypatch.setattr(hevc, "read_configuration", count)
    probe(heic(grid=(4, 4)), POLICY)
    assert len(records) == 1


@pytest.mark.parametrize("profile", [b"", bytes(4_000_000)], ids=["exif", "profile"])
def test_metadata_is_charged_for_each_image_that_it_describes(profile: bytes) -> None:
    """Each image has a copy in memory. A file of 1 MB could take 1 GB."""
    exif = exif_block(gps=False, texts={0x010E: "x" * (10_000 if profile else 4_000_000)})
    few, many = (
        probe(heic(exif=exif, described=images, profile=profile), POLICY).structure.buffer_bytes
        for images in (1, 3)
    )
    assert many - few > 7_900_000
    with pytest.raises(CorruptImage, match="too many images"):
        probe(heic(exif=exif, described=50, profile=profile), POLICY)


def unit(content: bytes) -> bytes:
    """A unit of an item, after its length."""
    return number(len(content), 4) + content


def test_very_many_units_are_corrupt() -> None:
    """A unit may have no content, so a short file has many."""
    with pytest.raises(CorruptImage, match="entries"):
        probe(heic(data=coded_tile() + unit(b"") * 200_000), POLICY)
    with pytest.raises(CorruptImage, match="10,000 units"):
        hevc.read_configuration(bytes(22) + b"\1" + b"\x20" + number(10_001) + bytes(2 * 10_001))


def test_very_many_different_parameters_are_corrupt() -> None:
    """Each has to be read bit by bit. Equal ones are read once."""
    units = hevc.read_configuration(configuration()[8:]).units
    parameters = next(each for each in units if hevc.unit_type(each) == hevc.SEQUENCE_PARAMETERS)
    equal = unit(parameters) * 5_000
    assert probe(heic(data=coded_tile() + equal), POLICY).structure.hidden_frames == 0
    different = b"".join(unit(parameters + number(each)) for each in range(5_000))
    with pytest.raises(CorruptImage, match="4,096 sequence parameters"):
        probe(heic(data=coded_tile() + different), POLICY)


def obu(header: bytes) -> bytes:
    """A sequence header as a unit with a size (AV1, 5.3.1)."""
    return bytes((av1.SEQUENCE_HEADER << 3 | 2, len(header))) + header


def test_very_many_different_sequence_headers_are_corrupt() -> None:
    """The same holds for AV1."""
    units = dict(av1.iter_obus(AVIF[AVIF.index(b"mdat") + 4 :]))
    header = units[av1.SEQUENCE_HEADER]
    equal = obu(header) * 300
    assert len([*avif._coded_images(equal, [((0, len(equal)),)])]) == 1
    different = b"".join(obu(header + number(each)) for each in range(300))
    with pytest.raises(CorruptImage, match="256 sequence headers"):
        [*avif._coded_images(different, [((0, len(different)),)])]


def test_exif_that_overlaps_itself_is_corrupt() -> None:
    """An item of many pieces may repeat the whole file."""
    block = exif_block(gps=False, texts={0x010E: "x" * 1_000})
    assert probe(heic(exif=block), POLICY).structure.exif == block
    with pytest.raises(CorruptImage, match="overlaps itself"):
        probe(heic(exif=block, exif_pieces=1_000), POLICY)


def test_an_item_with_two_types_is_corrupt() -> None:
    """Readers disagree on which of them it is."""
    entries = b"".join(
        full_box(b"infe", number(1) + number(0) + kind + b"\0", version=2)
        for kind in (b"mime", b"av01")
    )
    items = full_box(b"iinf", number(2) + entries) + full_box(b"iloc", bytes(4))
    with pytest.raises(CorruptImage, match="two types"):
        inspect(AVIF + box(b"moov", full_box(b"meta", items)), POLICY)
