"""Recognises camera raw files that begin like TIFF. Their first image is only a preview.

Tags and values are those of TIFF/EP (ISO 12234-2), DNG 1.7 and ExifTool's tables.
"""

import re
from collections.abc import Iterator

from consumer.imaging.ifd import Directory, TiffBlock, WalkBudget, parse_block
from core.errors import CorruptImage

_COMPRESSION, _PHOTOMETRIC = 0x0103, 0x0106
_MAKE, _MODEL = 0x010F, 0x0110
_SUB_DIRECTORIES = 0x014A
_LEAF_DATA, _TIFF_EP, _DNG_VERSION = 0x8606, 0x9216, 0xC612
_SENSOR_DATA = frozenset({32803, 34892})
"""Photometric interpretations: color filter array, and linear raw."""
_RAW_COMPRESSIONS = {
    262: "Kodak KDC",
    32767: "Sony ARW",
    32770: "Samsung SRW",
    32772: "Samsung SRW",
    34713: "Nikon NEF",
    65000: "Kodak DCR",
    65535: "Pentax PEF",
}
_MAKERS = (
    ("nikon", "Nikon NEF"),
    ("canon", "Canon CR2"),
    ("sony", "Sony ARW"),
    ("pentax", "Pentax PEF"),
    ("ricoh", "Pentax PEF"),
    ("samsung", "Samsung SRW"),
    ("hasselblad", "Hasselblad 3FR"),
    ("seiko epson", "Epson ERF"),
    ("epson", "Epson ERF"),
    ("mamiya", "Mamiya MEF"),
    ("leaf", "Leaf MOS"),
    ("phase one", "Phase One IIQ"),
    ("kodak", "Kodak DCR"),
    ("eastman kodak", "Kodak KDC"),
    ("olympus", "Olympus ORF"),
    ("fujifilm", "Fujifilm RAF"),
)
"""Beginnings of the maker's name in lower case."""
_MARKS = (
    (re.compile(rb"CR"), "Canon CR2"),
    (re.compile(rb"IIII.waR|MMMMRaw", re.DOTALL), "Phase One IIQ"),
)
"""Bytes after the header, and the format."""
_HEADER_SIZE = 8
_DIRECTORIES_MAX = 16
_TEXT_MAX = 64


def tiff_raw_name(body: bytes) -> str:
    """Return the name of a camera raw format; empty for a TIFF, also a damaged one."""
    for mark, name in _MARKS:
        if mark.match(body, _HEADER_SIZE):
            return _camera_raw(name)
    tiff = parse_block(body, WalkBudget())
    try:
        directories = list(_directories(tiff)) if tiff else []
    except CorruptImage:
        return ""
    return _name(tiff, directories) if tiff and directories else ""


def _camera_raw(name: str) -> str:
    return f"{name} camera raw".strip()


def _directories(tiff: TiffBlock) -> Iterator[Directory]:
    """Yield the first directories of the main chain and below them, at most _DIRECTORIES_MAX."""
    for count, directory in enumerate(tiff.walk((_SUB_DIRECTORIES,)), start=1):
        yield directory
        if count == _DIRECTORIES_MAX:
            return


def _name(tiff: TiffBlock, directories: list[Directory]) -> str:
    main = directories[0]
    maker = _maker_name(_text(tiff, main, _MAKE), _text(tiff, main, _MODEL))
    if main.entry(_DNG_VERSION):
        return _camera_raw("DNG")
    compressions = {tiff.number(each.entry(_COMPRESSION)) for each in directories}
    by_compression = next(
        (name for code, name in _RAW_COMPRESSIONS.items() if code in compressions), ""
    )
    photometrics = {tiff.number(each.entry(_PHOTOMETRIC)) for each in directories}
    if by_compression or photometrics & _SENSOR_DATA:
        return _camera_raw(maker or by_compression)
    # A file that is cut short may lack the directory of the sensor data.
    previews_only = main.entry(_TIFF_EP) and main.entry(_SUB_DIRECTORIES)
    return _camera_raw(maker) if maker and (previews_only or main.entry(_LEAF_DATA)) else ""


def _maker_name(make: str, model: str) -> str:
    name = next((name for start, name in _MAKERS if make.startswith(start)), "")
    return "Nikon NRW" if name == "Nikon NEF" and model.startswith("coolpix") else name


def _text(tiff: TiffBlock, directory: Directory, tag: int) -> str:
    entry = directory.entry(tag)
    value = tiff.value(entry)[:_TEXT_MAX] if entry else b""
    return value.split(b"\0", 1)[0].decode("ascii", "replace").strip().lower()
