"""TIFF files that take much time or memory for each byte."""

import struct
import zlib

_SHORT, _LONG, _BYTE = 3, 4, 1
_DEFLATE = 8
_XMP_TAG = 700


def one_strip(width: int, height: int) -> bytes:
    """Return an image with alpha in one deflated strip."""
    data = _deflated(width * height * 4)
    return _file(width, height, data, {273: [8], 278: [height], 279: [len(data)]})


def many_strips(width: int, height: int) -> bytes:
    """Return an image whose strips of one row are all the same bytes of the file."""
    data = _deflated(width * 4)
    return _file(width, height, data, {273: [8] * height, 278: [1], 279: [len(data)] * height})


def many_tiles(width: int, height: int, side: int = 16) -> bytes:
    """Return an image whose tiles are all the same bytes of the file."""
    data = _deflated(side * side * 4)
    count = -(-width // side) * -(-height // side)
    tiles = {322: [side], 323: [side], 324: [8] * count, 325: [len(data)] * count}
    return _file(width, height, data, tiles)


def with_xmp(size: int) -> bytes:
    """Return a small image with `size` bytes of a packet that nearly has a location."""
    data = _deflated(64 * 64 * 4)
    text = b"<rdf:li exif:GPSLatitud= 12.5 N " * (size // 32)
    tags = {273: [8], 278: [64], 279: [len(data)]}
    return _file(64, 64, data + text, tags, xmp=(8 + len(data), len(text)))


def _deflated(size: int) -> bytes:
    packer = zlib.compressobj(9)
    block = bytes(1 << 20)
    parts = [packer.compress(block) for _ in range(size >> 20)]
    return b"".join([*parts, packer.compress(block[: size % (1 << 20)]), packer.flush()])


def _file(
    width: int,
    height: int,
    data: bytes,
    places: dict[int, list[int]],
    xmp: tuple[int, int] | None = None,
) -> bytes:
    """Return a little-endian RGBA file. Its pixels begin at byte 8."""
    data += bytes(-len(data) % 2)
    values: dict[int, tuple[int, list[int]]] = {
        256: (_LONG, [width]),
        257: (_LONG, [height]),
        258: (_SHORT, [8, 8, 8, 8]),
        259: (_SHORT, [_DEFLATE]),
        262: (_SHORT, [2]),
        277: (_SHORT, [4]),
        338: (_SHORT, [2]),
    }
    values |= {tag: (_LONG, numbers) for tag, numbers in places.items()}
    table, heap = b"", b""
    heap_start = 8 + len(data)
    for tag in sorted(values):
        kind, numbers = values[tag]
        packed = struct.pack(f"<{len(numbers)}{'H' if kind == _SHORT else 'I'}", *numbers)
        if len(packed) > 4:
            place = struct.pack("<I", heap_start + len(heap))
            heap += packed
        else:
            place = packed.ljust(4, b"\0")
        table += struct.pack("<HHI", tag, kind, len(numbers)) + place
        if tag == 338 and xmp is not None:
            table += struct.pack("<HHII", _XMP_TAG, _BYTE, xmp[1], xmp[0])
    directory = struct.pack("<H", len(table) // 12) + table + bytes(4)
    return b"II*\0" + struct.pack("<I", heap_start + len(heap)) + data + heap + directory
