"""The table of accepted formats, and detection of a format by its first bytes."""

import pytest
from PIL import Image

from consumer.imaging.formats import FORMATS, Format
from consumer.imaging.inspection import ImageProbe, probe
from consumer.imaging.policy import ImagePolicy
from consumer.imaging.strip_location import STRIPPERS
from consumer.imaging.structure import READERS
from core.errors import CorruptImage, ImageFailure, NotAnImage, UnsupportedFormat
from harness.images import IMAGES, gradient_image, html, sample, svg

POLICY = ImagePolicy()

NOT_IMAGES = {
    "empty": b"",
    "html": html(),
    "html with inline svg": b"<html><body><svg></svg></body></html>",
    "text that begins like BMP": b"BMW makes cars, and this is a sentence about them.",
    "mp4": b"\0\0\0\x18ftypisom\0\0\0\0isommp42",
    "wave": b"RIFF\x24\0\0\0WAVEfmt ",
    "zip": b"PK\x03\x04" + bytes(40),
    "zeros": bytes(64),
}

REFUSED = {
    "svg": svg(),
    "svg with byte order mark": b"\xef\xbb\xbf" + svg(),
    "svg in utf-16": svg().decode().encode("utf-16"),
    "svg after white space": svg(prologue="\n\t  "),
    "svg after comments": svg(prologue="<?xml version='1.0'?><!-- <html> --> <!-- b -->"),
    "svg after a doctype": svg(
        prologue='<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "svg11.dtd" [<!ENTITY a "b">]>'
    ),
    "svg with a prefix": b'<s:svg xmlns:s="http://www.w3.org/2000/svg"/>',
    "heic": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic",
    "heif container": b"\0\0\0\x14ftypmif1\0\0\0\0mif1",
    "pdf": b"%PDF-1.7\n",
    "ico": b"\0\0\x01\0\x01\0\x10\x10" + bytes(30),
    "jpeg xl": b"\xff\x0a\xfa\x7f",
    "jpeg 2000": b"\0\0\0\x0cjP  \r\n\x87\n\0\0\0\x14ftypjp2 ",
    "photoshop": b"8BPS\0\x01" + bytes(20),
    "pnm": b"P6\n1 1\n255\n\0\0\0",
    "eps": b"%!PS-Adobe-3.0 EPSF-3.0\n",
    "bigtiff": b"II+\0\x08\0\0\0" + bytes(16),
    "bmp compressed by run lengths": gradient_image("BMP", (8, 8)).replace(
        b"\x18\0\0\0\0\0", b"\x08\0\1\0\0\0", 1
    ),
    "canon raw": b"II*\0\x10\0\0\0CR\x02\0" + bytes(32),
}

ACCEPTED = {
    "portrait-rotated.jpg": ("JPEG", "image/jpeg", "jpg", 400, 341, 1),
    "rocket-progressive.jpg": ("JPEG", "image/jpeg", "jpg", 480, 320, 1),
    "astronaut.png": ("PNG", "image/png", "png", 200, 200, 1),
    "rocket-animated.gif": ("GIF", "image/gif", "gif", 144, 144, 6),
    "coffee.webp": ("WEBP", "image/webp", "webp", 420, 280, 1),
    "cat-animated.webp": ("WEBP", "image/webp", "webp", 160, 160, 6),
    "cat.avif": ("AVIF", "image/avif", "avif", 400, 266, 1),
    "flower.tiff": ("TIFF", "image/tiff", "tiff", 200, 133, 1),
    "astronaut.bmp": ("BMP", "image/bmp", "bmp", 160, 160, 1),
}


def samples_of(image_format: Format) -> list[str]:
    return [
        path.name
        for path in sorted(IMAGES.iterdir())
        if path.is_file() and image_format.matches(path.read_bytes())
    ]


@pytest.mark.parametrize("image_format", FORMATS, ids=lambda each: each.name)
def test_each_format_has_all_its_parts(image_format: Format) -> None:
    """A format needs a reader, a stripper, a Pillow plug-in of its name and media type, and a sample."""
    assert image_format in READERS
    assert image_format in STRIPPERS
    Image.init()
    assert Image.MIME[image_format.name] == image_format.media_type
    assert image_format.bytes_per_pixel >= 3
    assert samples_of(image_format)


def test_the_tables_hold_no_other_format() -> None:
    """A part without an entry in FORMATS would never be used."""
    assert set(READERS) == set(STRIPPERS) == set(FORMATS)


def test_each_sample_matches_one_format() -> None:
    """The order of the table does not matter."""
    names = [name for image_format in FORMATS for name in samples_of(image_format)]
    assert len(names) == len(set(names))
    assert set(ACCEPTED) <= set(names)


@pytest.mark.parametrize("body", NOT_IMAGES.values(), ids=NOT_IMAGES.keys())
def test_other_content_is_not_an_image(body: bytes) -> None:
    """A body that does not begin like an image is NOT_AN_IMAGE."""
    with pytest.raises(NotAnImage):
        probe(body, POLICY)


@pytest.mark.parametrize("body", REFUSED.values(), ids=REFUSED.keys())
def test_other_formats_are_unsupported(body: bytes) -> None:
    """A known format that is not accepted is UNSUPPORTED_FORMAT."""
    with pytest.raises(UnsupportedFormat):
        probe(body, POLICY)


def facts(found: ImageProbe) -> tuple[str, str, str, int, int, int]:
    image_format, structure = found.format, found.structure
    names = (image_format.name, image_format.media_type, image_format.extension)
    return (*names, structure.width, structure.height, structure.frames)


@pytest.mark.parametrize("name", ACCEPTED)
def test_samples_are_detected_by_their_bytes(name: str) -> None:
    """Each accepted format is detected, with its stored size and its frames."""
    assert facts(probe(sample(name), POLICY)) == ACCEPTED[name]


@pytest.mark.parametrize("kind", [each.name for each in FORMATS])
def test_a_signature_alone_is_a_damaged_image(kind: str) -> None:
    """A body that is cut short after its first bytes is CORRUPT_IMAGE."""
    with pytest.raises(CorruptImage):
        probe(gradient_image(kind)[:20], POLICY)


def test_avif_is_detected_by_a_compatible_brand() -> None:
    """A HEIF container whose compatible brands include AVIF is AVIF."""
    body = sample("cat.avif").replace(b"ftypavif", b"ftypmif1", 1)
    assert probe(body, POLICY).format.name == "AVIF"


@pytest.mark.parametrize(
    "filler", [b" ", b"<!-- x -->", b"<?a?>", b"<!--", b"<?", b"<!DOCTYPE svg ["]
)
def test_the_search_for_an_svg_root_is_bounded(filler: bytes) -> None:
    """Text that is made to prolong the search ends as a failure."""
    with pytest.raises(ImageFailure):
        probe(filler * 200_000, POLICY)
