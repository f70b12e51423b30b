"""Names formats of images and documents that are not accepted, so that a refusal can name the format of the body."""

import re
from collections.abc import Callable

from consumer.imaging.formats.brands import brands_of

_BRANDS = {
    b"crx ": "Canon CR3 camera raw",
    **dict.fromkeys(
        (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"), "HEIC"
    ),
    **dict.fromkeys((b"mif1", b"mif2", b"msf1", b"miaf", b"avif", b"avis"), "HEIF"),
}
_PREFIXES = (
    (b"%PDF", "PDF"),
    (b"%!PS", "PostScript"),
    (b"\xc5\xd0\xd3\xc6", "EPS"),
    (b"8BPS", "Photoshop"),
    (b"II+\x00", "BigTIFF"),
    (b"MM\x00+", "BigTIFF"),
    (b"II\xbc", "JPEG XR"),
    (b"IIU\x00", "Panasonic RW2 or Leica RWL camera raw"),
    (b"IIRO", "Olympus ORF camera raw"),
    (b"IIRS", "Olympus ORF camera raw"),
    (b"MMOR", "Olympus ORF camera raw"),
    (b"FUJIFILMCCD-RAW", "Fujifilm RAF camera raw"),
    (b"II\x1a\x00\x00\x00HEAPCCDR", "Canon CRW camera raw"),
    (b"\x00MRM", "Minolta MRW camera raw"),
    (b"\x00MRI", "Minolta MRW camera raw"),
    (b"FOVb", "Sigma X3F camera raw"),
    (b"RED1", "Red R3D camera raw"),
    (b"RED2", "Red R3D camera raw"),
    (b"\x00\x00\x00\x0cjP  \r\n\x87\n", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
    (b"\x00\x00\x00\x0cJXL \r\n\x87\n", "JPEG XL"),
    (b"\xff\x0a", "JPEG XL"),
    (b"\x97JB2\r\n\x1a\n", "JBIG2"),
    (b"\x8aMNG\r\n\x1a\n", "MNG"),
    (b"\x8bJNG\r\n\x1a\n", "JNG"),
    (b"BPG\xfb", "BPG"),
    (b"FLIF", "FLIF"),
    (b"DDS ", "DDS"),
    (b"\xabKTX ", "KTX"),
    (b"qoif", "QOI"),
    (b"gimp xcf", "XCF"),
    (b"Paint Shop Pro Image File", "Paint Shop Pro"),
    (b"id=ImageMagick", "MIFF"),
    (b"icns", "ICNS"),
    (b"\x76\x2f\x31\x01", "OpenEXR"),
    (b"#?RADIANCE", "Radiance HDR"),
    (b"#?RGBE", "Radiance HDR"),
    (b"SDPX", "DPX"),
    (b"XPDS", "DPX"),
    (b"\x80\x2a\x5f\xd7", "Cineon"),
    (b"\x01\xda", "SGI"),
    (b"\x59\xa6\x6a\x95", "Sun raster"),
    (b"AT&TFORM", "DjVu"),
    (b"\xd7\xcd\xc6\x9a", "WMF"),
    (b"SIMPLE  =", "FITS"),
    (b"/* XPM */", "XPM"),
    (b"PGF", "PGF"),
    (b"BLP1", "BLP"),
    (b"BLP2", "BLP"),
    (b"VTF\x00", "VTF"),
)
_PORTABLE_ANYMAP = re.compile(rb"P[1-7Ff][ \t\r\n#]")
_PCX = re.compile(rb"\x0a[\x00\x02-\x05]\x01[\x01\x02\x04\x08]")
_XBM = re.compile(rb"(?:/\*.{0,512}?\*/\s*)?#define\s+\S{1,64}_width\s", re.DOTALL)

_XML_HEAD = 65_536
_XML_PROLOGUE = re.compile(
    r"\s+|<\?.*?\?>|<!--.*?-->|<!DOCTYPE\s+svg\b[^\[>]*(?:\[.*?\]\s*)?>", re.DOTALL | re.IGNORECASE
)
_SVG_ROOT = re.compile(r"<(?:[\w.-]+:)?svg[\s/>]", re.IGNORECASE)

_TARGA_HEADER = 18
_TARGA_FOOTER = b"TRUEVISION-XFILE.\0"
_TARGA_MAPPED = frozenset({1, 9})
_TARGA_TYPES = frozenset({1, 2, 3, 9, 10, 11})
_TARGA_DEPTHS = frozenset({8, 15, 16, 24, 32})
_BITMAP_HEADERS = range(16, 200)


def unsupported_name(body: bytes) -> str:
    """Return the name of the format; empty if the body is of no known format."""
    brands = brands_of(body)[1]
    by_brand = next((name for brand, name in _BRANDS.items() if brand in brands), "")
    by_prefix = next((name for prefix, name in _PREFIXES if body.startswith(prefix)), "")
    return by_brand or by_prefix or next((name for name, is_it in _TESTS if is_it(body)), "")


def _is_icon(kind: int) -> Callable[[bytes], bool]:
    """Return a test for a directory of images. In a TGA that begins alike, zeros follow instead of their number."""
    start = b"\x00\x00" + kind.to_bytes(2, "little")
    return lambda body: body.startswith(start) and any(body[4:6])


def _is_targa(body: bytes) -> bool:
    """Check every field of the header that has few values (Truevision TGA 2.0). Only version 2 has a mark, a footer."""
    if body.endswith(_TARGA_FOOTER):
        return True
    if len(body) < _TARGA_HEADER or body[1] > 1 or body[2] not in _TARGA_TYPES:
        return False
    mapped = body[2] in _TARGA_MAPPED
    map_fits = (
        body[1] == 1 and body[7] in _TARGA_DEPTHS if mapped else body[1] == 1 or not any(body[3:8])
    )
    return (
        map_fits
        and _u16(body, 12) > 0 < _u16(body, 14)
        and body[16] in _TARGA_DEPTHS
        and body[17] & 0xC0 == 0
    )


def _is_other_bitmap(body: bytes) -> bool:
    """Find BMP with a header of unusual length: version 2 of OS/2 allows any from 16 to 64 bytes."""
    array = body.startswith(b"BA") and body[14:16] == b"BM"
    size = int.from_bytes(body[14:18], "little")
    return array or (body.startswith(b"BM") and not any(body[6:10]) and size in _BITMAP_HEADERS)


def _is_svg(body: bytes) -> bool:
    """Find the first element: SVG is text and may begin with comments and declarations."""
    text = _head_as_text(body[:_XML_HEAD])
    at = 0
    while prologue := _XML_PROLOGUE.match(text, at):
        at = prologue.end()
    return _SVG_ROOT.match(text, at) is not None


def _head_as_text(head: bytes) -> str:
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return head.decode("utf-16", "replace")
    return head.decode("utf-8-sig", "replace")


def _u16(body: bytes, at: int) -> int:
    return int.from_bytes(body[at : at + 2], "little")


_TESTS: tuple[tuple[str, Callable[[bytes], bool]], ...] = (
    ("ICO", _is_icon(1)),
    ("CUR", _is_icon(2)),
    ("Kyocera camera raw", lambda body: body[25:32] == b"ARECOYK"),
    ("Photo CD", lambda body: body[2048:2055] == b"PCD_IPI"),
    ("DICOM", lambda body: body[128:132] == b"DICM"),
    ("EMF", lambda body: body.startswith(b"\x01\0\0\0") and body[40:44] == b" EMF"),
    ("ANI", lambda body: body.startswith(b"RIFF") and body[8:12] == b"ACON"),
    ("FLIC", lambda body: body[4:6] in (b"\x11\xaf", b"\x12\xaf") and any(body[6:8])),
    ("PNM", lambda body: _PORTABLE_ANYMAP.match(body) is not None),
    ("PCX", lambda body: _PCX.match(body) is not None),
    ("XBM", lambda body: _XBM.match(body) is not None),
    ("OS/2 BMP", _is_other_bitmap),
    ("TGA", _is_targa),
    ("SVG", _is_svg),
)
"""Formats without a signature. The most specific test is first."""
