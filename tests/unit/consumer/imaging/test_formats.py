"""The table of accepted formats, and detection of a format by its first bytes."""

import struct

import pytest
from PIL import Image

from consumer.imaging.formats import FORMATS, Format
from consumer.imaging.inspection import ImageProbe, probe
from consumer.imaging.limits import BYTES_PER_PIXEL
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


def raw_file(
    *main: tuple[int, int, int], make: bytes = b"", model: bytes = b"", sub: tuple[int, int, int]
) -> bytes:
    """Return the directories of a camera raw file: a preview, and below it the sensor data."""
    names = make.ljust(16, b"\0") + model.ljust(16, b"\0")
    texts = ((0x010F, 2, 16), (0x0110, 2, 16)) if make else ()
    count = len(main) + len(texts) + 1
    names_at = 8 + 2 + 12 * count + 4
    sub_at = names_at + len(names)
    entries = [struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in main]
    entries += [
        struct.pack("<HHII", tag, kind, size, names_at + 16 * index)
        for index, (tag, kind, size) in enumerate(texts)
    ]
    entries.append(struct.pack("<HHII", 0x014A, 4, 1, sub_at))
    directory = struct.pack("<H", count) + b"".join(entries) + bytes(4)
    below = struct.pack("<HHHII", 1, sub[0], sub[1], 1, sub[2]) + bytes(4)
    return b"II*\0\x08\0\0\0" + directory + names + below


def targa(kind: int = 2, depth: int = 24, mapped: bool = False) -> bytes:
    color_map = b"\0\0\0\1\x18" if mapped else bytes(5)
    header = bytes((0, mapped, kind)) + color_map + struct.pack("<HHHHBB", 0, 0, 8, 8, depth, 0)
    return header + bytes(8 * 8 * depth // 8)


CFA = (0x0106, 3, 32803)
PREVIEW = (0x0103, 3, 6)

REFUSED = {
    "svg": ("SVG", svg()),
    "svg with byte order mark": ("SVG", b"\xef\xbb\xbf" + svg()),
    "svg in utf-16": ("SVG", svg().decode().encode("utf-16")),
    "svg after white space": ("SVG", svg(prologue="\n\t  ")),
    "svg after comments": (
        "SVG",
        svg(prologue="<?xml version='1.0'?><!-- <html> --> <!-- b -->"),
    ),
    "svg after a doctype": (
        "SVG",
        svg(
            prologue='<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "svg11.dtd" [<!ENTITY a "b">]>'
        ),
    ),
    "svg with a prefix": ("SVG", b'<s:svg xmlns:s="http://www.w3.org/2000/svg"/>'),
    "heif container": ("HEIF", b"\0\0\0\x14ftypmif1\0\0\0\0mif1"),
    "pdf": ("PDF", b"%PDF-1.7\n"),
    "ico": ("ICO", b"\0\0\x01\0\x01\0\x10\x10" + bytes(30)),
    "cur": ("CUR", b"\0\0\x02\0\x01\0\x10\x10" + bytes(30)),
    "tga that begins like cur": ("TGA", targa()),
    "tga that is only a header": ("TGA", targa()[:18]),
    "tga compressed by run lengths": ("TGA", targa(kind=10, depth=32)),
    "tga with a color map": ("TGA", targa(kind=1, depth=8, mapped=True)),
    "tga with a footer": ("TGA", b"\5\0\2" + bytes(60) + b"TRUEVISION-XFILE.\0"),
    "jpeg xl": ("JPEG XL", b"\xff\x0a\xfa\x7f"),
    "jpeg xr": ("JPEG XR", b"II\xbc\x01\x08\0\0\0"),
    "jpeg 2000": ("JPEG 2000", b"\0\0\0\x0cjP  \r\n\x87\n\0\0\0\x14ftypjp2 "),
    "photoshop": ("Photoshop", b"8BPS\0\x01" + bytes(20)),
    "pnm": ("PNM", b"P6\n1 1\n255\n\0\0\0"),
    "pnm with a comment": ("PNM", b"P6#by a scanner\n1 1\n255\n\0\0\0"),
    "ani": ("ANI", b"RIFF\x24\0\0\0ACONanih"),
    "flic": ("FLIC", b"\0\x10\0\0\x12\xaf\4\0" + bytes(120)),
    "pcx": ("PCX", b"\x0a\x05\x01\x08" + bytes(124)),
    "xbm": ("XBM", b"#define im_width 8\n#define im_height 1\n"),
    "eps": ("PostScript", b"%!PS-Adobe-3.0 EPSF-3.0\n"),
    "bigtiff": ("BigTIFF", b"II+\0\x08\0\0\0" + bytes(16)),
    "os/2 bitmap with another header": (
        "OS/2 BMP",
        b"BM" + struct.pack("<IHHIIIIHH", 90, 0, 0, 30, 16, 2, 2, 1, 24) + bytes(60),
    ),
    "bmp compressed by run lengths": (
        "BMP with run-length encoding",
        gradient_image("BMP", (8, 8)).replace(b"\x18\0\0\0\0\0", b"\x08\0\1\0\0\0", 1),
    ),
    "cr2": ("Canon CR2 camera raw", b"II*\0\x10\0\0\0CR\x02\0" + bytes(32)),
    "cr3": ("Canon CR3 camera raw", b"\0\0\0\x18ftypcrx \0\0\0\1crx isom"),
    "iiq": ("Phase One IIQ camera raw", b"II*\0\x08\0\0\0IIIICwaR" + bytes(32)),
    "dng": ("DNG camera raw", raw_file((0xC612, 1, 0x0401), sub=(0x0103, 3, 1))),
    "nef": (
        "Nikon NEF camera raw",
        raw_file(PREVIEW, make=b"NIKON CORP", model=b"NIKON D70", sub=(0x0103, 3, 34713)),
    ),
    "nrw": (
        "Nikon NRW camera raw",
        raw_file(PREVIEW, make=b"NIKON", model=b"COOLPIX P7000", sub=CFA),
    ),
    "nef whose sensor data is cut off": (
        "Nikon NEF camera raw",
        raw_file(PREVIEW, (0x9216, 1, 1), make=b"NIKON CORP", model=b"D", sub=CFA)[:-6],
    ),
    "arw": ("Sony ARW camera raw", raw_file(PREVIEW, make=b"SONY", sub=(0x0103, 3, 32767))),
    "pef": ("Pentax PEF camera raw", raw_file(make=b"PENTAX", sub=(0x0103, 3, 65535))),
    "srw": ("Samsung SRW camera raw", raw_file(make=b"SAMSUNG", sub=(0x0103, 3, 32770))),
    "3fr": ("Hasselblad 3FR camera raw", raw_file(make=b"Hasselblad", sub=CFA)),
    "erf": ("Epson ERF camera raw", raw_file(make=b"SEIKO EPSON", sub=CFA)),
    "mef": ("Mamiya MEF camera raw", raw_file(make=b"Mamiya-OP", sub=CFA)),
    "mos": ("Leaf MOS camera raw", raw_file((0x8606, 7, 1), make=b"Leaf", sub=PREVIEW)),
    "dcr": ("Kodak DCR camera raw", raw_file(make=b"Kodak", sub=(0x0103, 3, 65000))),
    "raw of another maker": ("camera raw", raw_file(make=b"Acme", sub=CFA)),
    "orf": ("Olympus ORF camera raw", b"IIRO\x08\0\0\0"),
    "rw2": ("Panasonic RW2 or Leica RWL camera raw", b"IIU\0\x18\0\0\0"),
    "raf": ("Fujifilm RAF camera raw", b"FUJIFILMCCD-RAW 0201"),
    "mrw": ("Minolta MRW camera raw", b"\0MRM\0\0\x0a\x0c"),
    "x3f": ("Sigma X3F camera raw", b"FOVb\0\2\3\0"),
}

ACCEPTED = {
    "portrait-rotated.jpg": ("JPEG", "image/jpeg", "jpg", 400, 341, 1),
    "rocket-progressive.jpg": ("JPEG", "image/jpeg", "jpg", 480, 320, 1),
    "astronaut.png": ("PNG", "image/png", "png", 200, 200, 1),
    "rocket-animated.gif": ("GIF", "image/gif", "gif", 144, 144, 6),
    "coffee.webp": ("WEBP", "image/webp", "webp", 420, 280, 1),
    "cat-animated.webp": ("WEBP", "image/webp", "webp", 160, 160, 6),
    "cat.avif": ("AVIF", "image/avif", "avif", 400, 266, 1),
    "cat.heic": ("HEIC", "image/heic", "heic", 400, 266, 1),
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
    """A format needs a reader, a stripper, a decoder, a charge, and a sample. Pillow's plug-in has its media type."""
    assert image_format in READERS
    assert image_format in STRIPPERS
    Image.init()
    assert image_format.installed
    assert image_format.decoder or Image.MIME[image_format.name] == image_format.media_type
    assert BYTES_PER_PIXEL[image_format]
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
    with pytest.raises(NotAnImage, match="accepted are JPEG, PNG, GIF"):
        probe(body, POLICY)


@pytest.mark.parametrize(("name", "body"), REFUSED.values(), ids=REFUSED.keys())
def test_other_formats_are_unsupported(name: str, body: bytes) -> None:
    """A known format that is not accepted is UNSUPPORTED_FORMAT. The message names it, and the accepted formats."""
    with pytest.raises(UnsupportedFormat) as refused:
        probe(body, POLICY)
    accepted = ", ".join(each.name for each in FORMATS)
    assert refused.value.detail == f"{name}; accepted are {accepted}"


@pytest.mark.parametrize("make", [b"NIKON CORP", b"SONY", b"Leaf"])
def test_a_tiff_of_a_camera_maker_is_no_camera_raw_file(make: bytes) -> None:
    """Software of camera makers writes TIFF with a thumbnail in a directory below."""
    damaged = raw_file(make=make, sub=(0x0103, 3, 1))
    with pytest.raises(CorruptImage):
        probe(damaged, POLICY)


def facts(found: ImageProbe) -> tuple[str, str, str, int, int, int]:
    image_format, structure = found.format, found.structure
    names = (image_format.name, image_format.media_type, image_format.extension)
    return (*names, structure.width, structure.height, structure.frames)


@pytest.mark.parametrize("name", ACCEPTED)
def test_samples_are_detected_by_their_bytes(name: str) -> None:
    """Each accepted format is detected, with its stored size and its frames."""
    assert facts(probe(sample(name), POLICY)) == ACCEPTED[name]


@pytest.mark.parametrize("name", ACCEPTED)
def test_a_signature_alone_is_a_damaged_image(name: str) -> None:
    """A body that is cut short after its first bytes is CORRUPT_IMAGE."""
    with pytest.raises(CorruptImage):
        probe(sample(name)[:20], POLICY)


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
