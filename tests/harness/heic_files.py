"""HEIC files that are put together from the coded image of a sample."""

from collections.abc import Mapping, Sequence

import pi_heif

from harness.images import sample

pi_heif.register_heif_opener()  # Tests compare the images by Pillow.

TILE_SIZE = (400, 266)
"""Of the sample cat.heic, which has one coded image."""
_PRIMARY, _EXIF, _ALPHA, _TILES = 1, 2, 3, 10
_Items = dict[int, tuple[bytes, bytes]]
"""Type and content by number."""
_ALPHA_TYPE = b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha\0"


def box(name: bytes, payload: bytes) -> bytes:
    return (len(payload) + 8).to_bytes(4, "big") + name + payload


def full_box(name: bytes, payload: bytes, version: int = 0) -> bytes:
    return box(name, bytes((version, 0, 0, 0)) + payload)


def number(value: int, size: int = 2) -> bytes:
    return value.to_bytes(size, "big")


def extent(width: int, height: int) -> bytes:
    return full_box(b"ispe", number(width, 4) + number(height, 4))


def configuration() -> bytes:
    """The box with the decoder configuration of the sample."""
    body = sample("cat.heic")
    start = body.index(b"hvcC") - 4
    return body[start : start + int.from_bytes(body[start : start + 4], "big")]


def coded_tile() -> bytes:
    """The coded image of the sample."""
    body = sample("cat.heic")
    return body[body.index(b"mdat") + 4 :]


def heic(
    *,
    grid: tuple[int, int] = (1, 1),
    references: int | None = None,
    declared: tuple[int, int] = TILE_SIZE,
    transformations: Sequence[bytes] = (),
    tile_type: bytes = b"hvc1",
    data: bytes | None = None,
    exif: bytes = b"",
    exif_pieces: int = 1,
    described: int = 1,
    profile: bytes = b"",
    alpha: bool = False,
) -> bytes:
    """Return a grid of columns and rows, each of whose tiles is the coded image of the sample.

    references: to the first tile, instead of one to each tile.
    declared: the size of a tile according to the container. transformations: properties of the grid.
    data: of each tile, if it is not the sample's. exif: a block. exif_pieces: extents of its item, each of which
    is the whole block. described: how often EXIF refers to the image, and the grid to a colour profile of these bytes.
    alpha: the sample is also the alpha plane.
    """
    columns, rows = grid
    width, height = columns * TILE_SIZE[0], rows * TILE_SIZE[1]
    layout = bytes((0, 0, rows - 1, columns - 1)) + number(width) + number(height)
    tiles = list(range(_TILES, _TILES + columns * rows))
    items = {tile: (tile_type, data or coded_tile()) for tile in tiles}
    items = {_PRIMARY: (b"grid", layout), **items}
    if exif:
        items[_EXIF] = (b"Exif", bytes(4) + exif)
    if alpha:
        items[_ALPHA] = (b"hvc1", coded_tile())
    refer = tiles if references is None else tiles[:1] * references
    profiles = [box(b"colr", b"prof" + profile)] if profile else []
    transformed = [*profiles, *transformations]
    shared = described if profile else 0
    properties = _properties(items, (width, height), declared, transformed, shared)
    boxes = _entries(items), properties, _references(items, refer, described)
    return _assemble(items, boxes, {_EXIF: exif_pieces})


def _assemble(items: _Items, boxes: tuple[bytes, bytes, bytes], pieces: Mapping[int, int]) -> bytes:
    head = box(b"ftyp", b"heic\0\0\0\0mif1heic")
    size = len(_meta(items, 0, boxes, pieces))
    content = b"".join(content for _, content in items.values())
    return head + _meta(items, len(head) + size + 8, boxes, pieces) + box(b"mdat", content)


def _meta(
    items: _Items, offset: int, boxes: tuple[bytes, bytes, bytes], pieces: Mapping[int, int]
) -> bytes:
    """offset: of the content of the first item in the file. pieces: extents of an item, 1 by default."""
    locations = b""
    for item, (_, content) in items.items():
        count = pieces.get(item, 1)
        locations += number(item) + number(0) + number(count)
        locations += (number(offset, 4) + number(len(content), 4)) * count
        offset += len(content)
    location_box = full_box(b"iloc", bytes((0x44, 0)) + number(len(items)) + locations)
    handler = full_box(b"hdlr", bytes(4) + b"pict" + bytes(13))
    primary = full_box(b"pitm", number(_PRIMARY))
    return full_box(b"meta", handler + primary + location_box + b"".join(boxes))


def _entries(items: _Items) -> bytes:
    entries = b"".join(
        full_box(b"infe", number(item) + number(0) + kind + b"\0", version=2)
        for item, (kind, _) in items.items()
    )
    return full_box(b"iinf", number(len(items)) + entries)


def _properties(
    items: _Items,
    size: tuple[int, int],
    declared: tuple[int, int],
    transformations: Sequence[bytes],
    shared: int = 0,
) -> bytes:
    known = [extent(*size), extent(*declared), configuration(), full_box(b"auxC", _ALPHA_TYPE)]
    last = 5 + len(transformations)
    indexes = {_PRIMARY: (1, *range(5, last), *[5] * (shared - 1)), _EXIF: (), _ALPHA: (2, 3, 4)}
    associations = b""
    for item in items:
        of_item = indexes.get(item, (2, 3))
        associations += number(item) + bytes((len(of_item), *of_item))
    container = box(b"ipco", b"".join((*known, *transformations)))
    return box(b"iprp", container + full_box(b"ipma", number(len(items), 4) + associations))


def _references(items: _Items, tiles: Sequence[int], described: int) -> bytes:
    found = box(b"dimg", number(_PRIMARY) + number(len(tiles)) + b"".join(map(number, tiles)))
    for item, kind in ((_EXIF, b"cdsc"), (_ALPHA, b"auxl")):
        if item in items:
            count = described if item == _EXIF else 1
            found += box(kind, number(item) + number(count) + number(_PRIMARY) * count)
    return full_box(b"iref", found)


def rotation(quarters: int) -> bytes:
    """A quarter turn is anticlockwise (ISO/IEC 23008-12, 6.5.10)."""
    return box(b"irot", bytes((quarters,)))


def mirror(axis: int) -> bytes:
    return box(b"imir", bytes((axis,)))
