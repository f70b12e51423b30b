"""The accepted image formats, and detection of a body's format by its first bytes.

The origin's Content-Type does not count. To add a format, see docs/howto/add-an-image-format.md.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from core.errors import NotAnImage, UnsupportedFormat

_AVIF_BRANDS = frozenset({b"avif", b"avis"})
_HEIF_CONTAINERS = frozenset({b"mif1", b"msf1"})
_HEIF_BRANDS = frozenset(
    {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", *_HEIF_CONTAINERS}
)
_FTYP_MAX = 1024
_WEBP_CHUNKS = frozenset({b"VP8 ", b"VP8L", b"VP8X"})
_DIB_HEADER_SIZES = frozenset({12, 40, 52, 56, 64, 108, 124})


def _starts_with(*prefixes: bytes) -> Callable[[bytes], bool]:
    return lambda body: body.startswith(prefixes)


def _is_webp(body: bytes) -> bool:
    return body[:4] == b"RIFF" and body[8:12] == b"WEBP" and body[12:16] in _WEBP_CHUNKS


def _is_avif(body: bytes) -> bool:
    major, brands = _brands(body)
    return major in _AVIF_BRANDS or (major in _HEIF_CONTAINERS and bool(brands & _AVIF_BRANDS))


def _brands(body: bytes) -> tuple[bytes, set[bytes]]:
    """Read the major brand and all brands (ISO/IEC 14496-12, 4.3). Empty without a file type box."""
    if body[4:8] != b"ftyp":
        return b"", set()
    size = min(int.from_bytes(body[:4], "big"), _FTYP_MAX)
    major = body[8:12]
    return major, {major, *(body[at : at + 4] for at in range(16, size - 3, 4))}


def _is_bmp(body: bytes) -> bool:
    return body[:2] == b"BM" and int.from_bytes(body[14:18], "little") in _DIB_HEADER_SIZES


@dataclass(frozen=True, slots=True, eq=False)
class Format:
    """An accepted image format. Compared by identity.

    name: as Pillow and the contract spell it.
    extension: of the stored object, without a dot.
    matches: whether a body begins like this format.
    bytes_per_pixel: peak memory of a full decode as measured, rounded up: the image and the
        decoder's own copies.
    counts_frames_at_open: whether Pillow counts the frames when it opens a file. Its count must then
        equal that of the structure.
    """

    name: str
    media_type: str
    extension: str
    matches: Callable[[bytes], bool] = field(repr=False)
    bytes_per_pixel: int
    counts_frames_at_open: bool = False


JPEG = Format("JPEG", "image/jpeg", "jpg", _starts_with(b"\xff\xd8\xff"), 4)
PNG = Format("PNG", "image/png", "png", _starts_with(b"\x89PNG\r\n\x1a\n"), 4, True)
GIF = Format("GIF", "image/gif", "gif", _starts_with(b"GIF87a", b"GIF89a"), 20)
WEBP = Format("WEBP", "image/webp", "webp", _is_webp, 20, True)
AVIF = Format("AVIF", "image/avif", "avif", _is_avif, 16, True)
TIFF = Format("TIFF", "image/tiff", "tiff", _starts_with(b"II*\x00", b"MM\x00*"), 12)
BMP = Format("BMP", "image/bmp", "bmp", _is_bmp, 4)

FORMATS = (JPEG, PNG, GIF, WEBP, AVIF, TIFF, BMP)
"""Every accepted format. Each also has a reader in structure/ and a stripper in strip_location/."""
_BY_NAME = {each.name: each for each in FORMATS}

_UNSUPPORTED_PREFIXES = (
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
_XML_HEAD = 65_536
_XML_PROLOGUE = re.compile(
    r"\s+|<\?.*?\?>|<!--.*?-->|<!DOCTYPE\s+svg\b[^\[>]*(?:\[.*?\]\s*)?>", re.DOTALL | re.IGNORECASE
)
_SVG_ROOT = re.compile(r"<(?:[\w.-]+:)?svg[\s/>]", re.IGNORECASE)


def format_named(name: str) -> Format:
    """Return the accepted format of this name. Raises KeyError."""
    return _BY_NAME[name]


def sniff(body: bytes) -> Format:
    """Return the accepted format of `body`.

    Raises UnsupportedFormat for a known format of images or documents that is not accepted, and
    NotAnImage for everything else, an empty body included.
    """
    for each in FORMATS:
        if each.matches(body):
            return each
    unsupported = _unsupported_name(body)
    if unsupported:
        raise UnsupportedFormat(unsupported)
    raise NotAnImage


def _unsupported_name(body: bytes) -> str:
    if _brands(body)[1] & (_HEIF_BRANDS | _AVIF_BRANDS):
        return "HEIF"
    for prefix, name in _UNSUPPORTED_PREFIXES:
        if body.startswith(prefix):
            return name
    if _PORTABLE_ANYMAP.match(body):
        return "PNM"
    return "SVG" if _is_svg(body) else ""


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
