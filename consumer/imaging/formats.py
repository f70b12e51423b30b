"""Which format a body has, decided by its first bytes and by nothing that the origin says."""

import re
from typing import NamedTuple

from core.errors import NotAnImage, UnsupportedFormat


class Format(NamedTuple):
    """name: as Pillow and the contract spell it. extension: without a dot."""

    name: str
    media_type: str
    extension: str


JPEG = Format("JPEG", "image/jpeg", "jpg")
PNG = Format("PNG", "image/png", "png")
GIF = Format("GIF", "image/gif", "gif")
WEBP = Format("WEBP", "image/webp", "webp")
AVIF = Format("AVIF", "image/avif", "avif")
TIFF = Format("TIFF", "image/tiff", "tiff")
BMP = Format("BMP", "image/bmp", "bmp")

_BY_PREFIX = (
    (b"\xff\xd8\xff", JPEG),
    (b"\x89PNG\r\n\x1a\n", PNG),
    (b"GIF87a", GIF),
    (b"GIF89a", GIF),
    (b"II*\x00", TIFF),
    (b"MM\x00*", TIFF),
)

_REFUSED_PREFIXES = (
    (b"%PDF", "PDF"),
    (b"%!PS", "PostScript"),
    (b"8BPS", "Photoshop"),
    (b"\x00\x00\x01\x00", "ICO"),
    (b"\x00\x00\x02\x00", "CUR"),
    (b"II+\x00", "BigTIFF"),
    (b"MM\x00+", "BigTIFF"),
    (b"IIU\x00", "camera raw"),
    (b"IIRO", "camera raw"),
    (b"FUJIFILMCCD-RAW", "camera raw"),
    (b"\x00\x00\x00\x0cjP  \r\n\x87\n", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
    (b"\x00\x00\x00\x0cJXL \r\n\x87\n", "JPEG XL"),
    (b"\xff\x0a", "JPEG XL"),
    (b"\x8aMNG\r\n\x1a\n", "MNG"),
    (b"\x8bJNG\r\n\x1a\n", "JNG"),
    (b"DDS ", "DDS"),
    (b"qoif", "QOI"),
    (b"gimp xcf", "XCF"),
    (b"icns", "ICNS"),
    (b"\x76\x2f\x31\x01", "OpenEXR"),
    (b"#?RADIANCE", "Radiance HDR"),
    (b"AT&TFORM", "DjVu"),
    (b"\xd7\xcd\xc6\x9a", "WMF"),
    (b"SIMPLE  =", "FITS"),
)

_PORTABLE_ANYMAP = re.compile(rb"P[1-7][ \t\r\n]")
_DIB_HEADER_SIZES = frozenset({12, 40, 52, 56, 64, 108, 124})
_WEBP_CHUNKS = frozenset({b"VP8 ", b"VP8L", b"VP8X"})
_AVIF_BRANDS = frozenset({b"avif", b"avis"})
_HEIF_CONTAINERS = frozenset({b"mif1", b"msf1"})
_HEIF_BRANDS = frozenset(
    {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", *_HEIF_CONTAINERS}
)
_FTYP_MAX = 1024

_XML_HEAD = 65_536
_XML_PROLOGUE = re.compile(
    r"\s+|<\?.*?\?>|<!--.*?-->|<!DOCTYPE\s+svg\b[^\[>]*(?:\[.*?\]\s*)?>", re.DOTALL | re.IGNORECASE
)
_SVG_ROOT = re.compile(r"<(?:[\w.-]+:)?svg[\s/>]", re.IGNORECASE)


def sniff(body: bytes) -> Format:
    """The format of `body`, from the allow list.

    Raises UnsupportedFormat for what is known to be a picture or a document of pages, and
    NotAnImage for everything else, an empty body included.
    """
    for prefix, accepted in _BY_PREFIX:
        if body.startswith(prefix):
            return accepted
    if body[:4] == b"RIFF" and body[8:12] == b"WEBP" and body[12:16] in _WEBP_CHUNKS:
        return WEBP
    if body[4:8] == b"ftyp":
        return _by_brand(body)
    if body[:2] == b"BM" and int.from_bytes(body[14:18], "little") in _DIB_HEADER_SIZES:
        return BMP
    refused = _refused_name(body)
    if refused:
        raise UnsupportedFormat(refused)
    raise NotAnImage


def _by_brand(body: bytes) -> Format:
    """ISO/IEC 14496-12, 4.3: the major brand, a version, then compatible brands."""
    size = min(int.from_bytes(body[:4], "big"), _FTYP_MAX)
    major = body[8:12]
    brands = {major, *(body[at : at + 4] for at in range(16, size - 3, 4))}
    if major in _AVIF_BRANDS or (major in _HEIF_CONTAINERS and brands & _AVIF_BRANDS):
        return AVIF
    if brands & (_HEIF_BRANDS | _AVIF_BRANDS):
        raise UnsupportedFormat("HEIF")
    raise NotAnImage


def _refused_name(body: bytes) -> str:
    for prefix, name in _REFUSED_PREFIXES:
        if body.startswith(prefix):
            return name
    if _PORTABLE_ANYMAP.match(body):
        return "PNM"
    return "SVG" if _is_svg(body) else ""


def _is_svg(body: bytes) -> bool:
    """SVG is text and may begin with much that says nothing yet; its first element decides."""
    text = _head_as_text(body[:_XML_HEAD])
    at = 0
    while prologue := _XML_PROLOGUE.match(text, at):
        at = prologue.end()
    return _SVG_ROOT.match(text, at) is not None


def _head_as_text(head: bytes) -> str:
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return head.decode("utf-16", "replace")
    return head.decode("utf-8-sig", "replace")
