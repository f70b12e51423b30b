"""Decides from the tags of a directory whether Pillow and its libtiff can decode the pixels.

Otherwise a decoder's error could mean damage as well as a variant that it lacks. The table of pixel formats is
Pillow's own (`TiffImagePlugin.OPEN_INFO`); what libtiff requires beyond it follows TIFF 6.0 and libtiff's codecs.
"""

from dataclasses import dataclass
from functools import cache
from io import BytesIO

from PIL import Image, ImageMode, TiffImagePlugin

from consumer.imaging.ifd import Directory, TiffBlock
from core.errors import UnsupportedFormat

_BITS, _COMPRESSION, _PHOTOMETRIC, _FILL_ORDER = 258, 259, 262, 266
_SAMPLES, _PLANAR, _PREDICTOR, _EXTRA_SAMPLES, _SAMPLE_FORMAT = 277, 284, 317, 338, 339
_SUBSAMPLING = 530
_SEPARATE_PLANES = 2
_YCBCR, _LAB = 6, 8
_MIXED, _UNSIGNED, _SIGNED, _FLOAT = 0, 1, 2, 3
_SAMPLE_KINDS = {
    _MIXED: "mixed ",
    _SIGNED: "signed ",
    _FLOAT: "floating-point ",
    5: "complex ",
    6: "complex ",
}
SAMPLES_MAX = 32

_OLD_JPEG, _JPEG = "tiff_jpeg", "jpeg"
_BITS_OF_CODEC = {
    "tiff_ccitt": {1},
    "group3": {1},
    "group4": {1},
    "tiff_raw_16": {1},
    "tiff_thunderscan": {4},
    _OLD_JPEG: {8},
    _JPEG: {8, 12},
}
"""Codecs that do not take every number of bits per sample."""
_PREDICTED = frozenset({"tiff_lzw", "tiff_deflate", "tiff_adobe_deflate", "lzma", "zstd"})
_NO_PREDICTOR, _DIFFERENCE, _FLOAT_DIFFERENCE = 1, 2, 3
_DIFFERENCE_BITS = frozenset({8, 16, 32, 64})
_SUBSAMPLINGS = frozenset({(4, 4), (4, 2), (4, 1), (2, 2), (2, 1), (1, 2), (1, 1)})
"""Of YCbCr, horizontal and vertical (tif_getimage.c)."""
_OPTIONAL_CODECS = {"lzma": "L", "zstd": "L", "webp": "RGB"}
"""Codecs that a build of libtiff may lack, and a mode that each can encode."""
_COMPRESSION_NAMES = {
    9: "JBIG",
    10: "JBIG",
    32766: "NeXT",
    32908: "PixarFilm",
    32909: "PixarLog",
    33003: "JPEG 2000",
    33005: "JPEG 2000",
    34661: "JBIG",
    34712: "JPEG 2000",
    34887: "LERC",
    34892: "lossy JPEG",
    34925: "LZMA",
    34933: "PNG",
    34934: "JPEG XR",
    50000: "Zstandard",
    50001: "WebP",
    50002: "JPEG XL",
    52546: "JPEG XL",
}
_COLOR_NAMES = {
    4: "a transparency mask",
    9: "ICC L*a*b* colors",
    10: "ITU L*a*b* colors",
    32803: "a color filter array",
    32844: "LogL luminance",
    32845: "LogLuv colors",
    34892: "linear raw data",
}
"""Photometric interpretations that Pillow's table does not have."""

_TABLE_COLORS = {0: "gray", 1: "gray", 2: "RGB", 3: "palette", 5: "CMYK", 6: "YCbCr", 8: "L*a*b*"}


@dataclass(frozen=True, slots=True)
class _PixelFormat:
    """The tags that decide.

    kind: of all samples: unsigned, signed, floating-point; 0 if they differ. bits: of each sample.
    extra: the meaning of each sample beyond the colors, 0 if it is not specified.
    """

    codec: str
    photometric: int
    bits: tuple[int, ...]
    kind: int
    extra: tuple[int, ...]
    fill_order: int
    separate: bool
    predictor: int
    subsampling: tuple[int, ...]

    def mode(self, prefix: bytes) -> str | None:
        """Return Pillow's mode. None if its table does not have this combination."""
        key = (prefix, self.photometric, (self.kind,), self.fill_order, self.bits, self.extra)
        found = TiffImagePlugin.OPEN_INFO.get(key)
        return found[0] if found else None

    @property
    def bits_text(self) -> str:
        if not self.bits:
            return "samples of unknown size"
        sizes = "/".join(map(str, sorted(set(self.bits))))
        unit = "bit" if sizes == "1" else "bits"
        return f"{sizes} {_SAMPLE_KINDS.get(self.kind, '')}{unit} per sample"


def check_decodable(tiff: TiffBlock, directory: Directory) -> None:
    """Raise UnsupportedFormat for a combination of tags that cannot be decoded."""
    compression = tiff.number(directory.entry(_COMPRESSION), default=1)
    codec = TiffImagePlugin.COMPRESSION_INFO.get(compression)
    if codec is None or not _has_codec(codec):
        name = _COMPRESSION_NAMES.get(compression, f"code {compression}")
        raise UnsupportedFormat(f"TIFF with {name} compression")
    found = _read(tiff, directory, codec)
    mode = found.mode(b"II" if tiff.order == "<" else b"MM")
    reason = _describe(found) if mode is None else _libtiff_lacks(found, mode)
    if reason:
        raise UnsupportedFormat(f"TIFF with {reason}")


@cache
def _has_codec(codec: str) -> bool:
    """Return whether this build of libtiff has a codec. Pillow does not report it, so encode one pixel."""
    mode = _OPTIONAL_CODECS.get(codec)
    if mode is None:
        return True
    try:
        Image.new(mode, (1, 1)).save(BytesIO(), "TIFF", compression=codec)
    except OSError:
        return False
    return True


def _read(tiff: TiffBlock, directory: Directory, codec: str) -> _PixelFormat:
    """Read the tags with Pillow's defaults, which are not always those of TIFF 6.0."""

    def numbers(tag: int, default: tuple[int, ...]) -> tuple[int, ...]:
        return tiff.numbers(directory.entry(tag), most=SAMPLES_MAX) or default

    photometric = _YCBCR if codec == _OLD_JPEG else numbers(_PHOTOMETRIC, (0,))[0]
    samples = numbers(_SAMPLES, (3 if codec == _OLD_JPEG else 1,))[0]
    bits, extra = numbers(_BITS, (1,)), numbers(_EXTRA_SAMPLES, ())
    separate = numbers(_PLANAR, (1,))[0] == _SEPARATE_PLANES
    if separate and extra and max(extra) == 0:
        bits, samples, extra = bits[: -len(extra)], samples - len(extra), ()
    if samples > len(bits) == 1:
        bits *= min(samples, SAMPLES_MAX)
    kinds = numbers(_SAMPLE_FORMAT, (_UNSIGNED,))
    return _PixelFormat(
        codec,
        photometric,
        bits[:samples],
        kinds[0] if len(set(kinds)) == 1 else _MIXED,
        extra,
        numbers(_FILL_ORDER, (1,))[0],
        separate,
        numbers(_PREDICTOR, (_NO_PREDICTOR,))[0],
        numbers(_SUBSAMPLING, (2, 2)),
    )


def _describe(found: _PixelFormat) -> str:
    """Describe pixels that Pillow's table does not have."""
    if found.photometric in _COLOR_NAMES:
        return _COLOR_NAMES[found.photometric]
    colors = _TABLE_COLORS.get(found.photometric, f"photometric interpretation {found.photometric}")
    samples = "1 sample" if len(found.bits) == 1 else f"{len(found.bits)} samples"
    return f"{found.bits_text} ({colors}, {samples})"


def _libtiff_lacks(found: _PixelFormat, mode: str) -> str:
    """Describe a combination in the table that libtiff, or Pillow's use of it, cannot decode. Empty for all others."""
    if not set(found.bits) <= _BITS_OF_CODEC.get(found.codec, set(found.bits)):
        return f"{found.codec} compression and {found.bits_text}"
    if found.codec == _JPEG and found.photometric == _LAB and not found.separate:
        return "JPEG compression and L*a*b* colors"
    if found.separate and len(found.bits) > len(ImageMode.getmode(mode).bands):
        return "extra samples in planes of their own"
    if found.photometric == _YCBCR and not _has_subsampling(found):
        return "YCbCr subsampling of " + " by ".join(map(str, found.subsampling))
    if found.codec in _PREDICTED and not _has_predictor(found):
        return f"predictor {found.predictor} and {found.bits_text}"
    return ""


def _has_subsampling(found: _PixelFormat) -> bool:
    if found.separate:
        return found.subsampling == (1, 1)
    # The codec of JPEG returns whole pixels.
    return found.codec == _JPEG or found.subsampling in _SUBSAMPLINGS


def _has_predictor(found: _PixelFormat) -> bool:
    if found.predictor == _FLOAT_DIFFERENCE:
        return found.kind == _FLOAT
    if found.predictor == _DIFFERENCE:
        return set(found.bits) <= _DIFFERENCE_BITS
    return found.predictor == _NO_PREDICTOR
