"""The accepted image formats. To add one, see docs/howto/add-an-image-format.md."""

from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.util import find_spec

from consumer.imaging.formats.brands import brands_of

_AVIF_BRANDS = frozenset({b"avif", b"avis"})
_HEIC_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"})
"""Images and sequences that are coded in HEVC (ISO/IEC 23008-12, annex B)."""
_HEIF_CONTAINERS = frozenset({b"mif1", b"msf1"})
_WEBP_CHUNKS = frozenset({b"VP8 ", b"VP8L", b"VP8X"})
_DIB_HEADER_SIZES = frozenset({12, 40, 52, 56, 64, 108, 124})


def _starts_with(*prefixes: bytes) -> Callable[[bytes], bool]:
    return lambda body: body.startswith(prefixes)


def _is_webp(body: bytes) -> bool:
    return body[:4] == b"RIFF" and body[8:12] == b"WEBP" and body[12:16] in _WEBP_CHUNKS


def _is_avif(body: bytes) -> bool:
    major, brands = brands_of(body)
    return major in _AVIF_BRANDS or (major in _HEIF_CONTAINERS and bool(brands & _AVIF_BRANDS))


def _is_heic(body: bytes) -> bool:
    return not _is_avif(body) and bool(brands_of(body)[1] & _HEIC_BRANDS)


def _is_bmp(body: bytes) -> bool:
    return body[:2] == b"BM" and int.from_bytes(body[14:18], "little") in _DIB_HEADER_SIZES


@dataclass(frozen=True, slots=True, eq=False)
class Format:
    """An accepted image format. Compared by identity.

    name: as Pillow and the contract spell it.
    extension: of the stored object, without a dot.
    matches: whether a body begins like this format.
    decoder: the optional package that decodes it, as a module. Empty for Pillow.
    counts_frames_at_open: whether Pillow counts the frames when it opens a file. Its count must then
        equal that of the structure.
    """

    name: str
    media_type: str
    extension: str
    matches: Callable[[bytes], bool] = field(repr=False)
    counts_frames_at_open: bool = False
    decoder: str = ""

    @property
    def installed(self) -> bool:
        return not self.decoder or find_spec(self.decoder) is not None


JPEG = Format("JPEG", "image/jpeg", "jpg", _starts_with(b"\xff\xd8\xff"))
PNG = Format("PNG", "image/png", "png", _starts_with(b"\x89PNG\r\n\x1a\n"), True)
GIF = Format("GIF", "image/gif", "gif", _starts_with(b"GIF87a", b"GIF89a"))
WEBP = Format("WEBP", "image/webp", "webp", _is_webp, True)
AVIF = Format("AVIF", "image/avif", "avif", _is_avif, True)
HEIC = Format("HEIC", "image/heic", "heic", _is_heic, decoder="pi_heif")
TIFF = Format("TIFF", "image/tiff", "tiff", _starts_with(b"II*\x00", b"MM\x00*"))
BMP = Format("BMP", "image/bmp", "bmp", _is_bmp)

FORMATS = (JPEG, PNG, GIF, WEBP, AVIF, HEIC, TIFF, BMP)
"""Every accepted format. Each also has a reader in structure/ and a stripper in strip_location/."""
_BY_NAME = {each.name: each for each in FORMATS}


def format_named(name: str) -> Format:
    """Return the accepted format of this name. Raises KeyError."""
    return _BY_NAME[name]
