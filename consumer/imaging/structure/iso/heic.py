"""HEIC: reads the items of which the primary image consists, and their coded size (ISO/IEC 23008-12)."""

from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from consumer.imaging.structure.image_structure import MAX_SEGMENTS, ImageStructure
from consumer.imaging.structure.iso import hevc
from consumer.imaging.structure.iso.boxes import Box, cursor_of, image_end, iter_boxes
from consumer.imaging.structure.iso.items import ItemGraph, check_texts, read_graph
from core.errors import CorruptImage, TooManyPixels, UnsupportedFormat

_CODED = frozenset({b"hvc1", b"hev1"})
_DERIVED = frozenset({b"grid", b"iovl", b"iden"})
"""Images that are put together from others (section 6.6.2)."""
_IMAGES_MAX = 4_096
"""Coded images of which an image is put together. A phone writes a tile for each 512 x 512 pixels."""
_DEPTH_MAX = 4
_ALPHA_TYPES = (
    b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha\0",
    b"urn:mpeg:hevc:2015:auxid:1\0",
)
_BYTE = 8
_CHROMA = {0: "4:0:0", 0.5: "4:2:0", 1: "4:2:2", 2: "4:4:4"}
_FULL = 4
_EXIF_OFFSET_SIZE = 4


class _CodedImage(NamedTuple):
    """area: pixels of the larger of item property and sequence parameters. pictures: at least 1."""

    area: int
    depth: int
    chroma: float
    pictures: int


def read_structure(body: bytes) -> ImageStructure:
    """Read the primary image, without the trailer behind the last box.

    Other images, thumbnails, depth and gain maps are not decoded.

    Width and height are those that are shown, after cropping and turning. The pixels are those of the coded images if
    these are more: an image may consist of many tiles, and a tile may hold more pictures than the one that it shows.
    Raises CorruptImage for boxes and items that are cut short, UnsupportedFormat for images that are not coded in
    HEVC and for sequences without a still image, and TooManyPixels for too many tiles.
    """
    body = body[: image_end(body)]
    metas = [box for box in iter_boxes(body, 0, len(body)) if box.name == b"meta"]
    if not metas:
        raise UnsupportedFormat("HEIC without a still image")
    if len(metas) > 1:
        raise CorruptImage("it has more than one metadata box")
    check_texts(body, metas[0])
    graph = read_graph(body, metas[0])
    alpha = _alpha_item(body, graph)
    used = _coded_items(graph, graph.primary)
    planes = _coded_items(graph, alpha) if alpha is not None else Counter[int]()
    coded = dict(_read_coded(body, graph, used | planes))
    width, height, shown = _shown_size(body, graph)
    largest = max(shown, *(_area(coded, numbers) for numbers in (used, planes)))
    hidden = sum((coded[each].pictures - 1) * count for each, count in (used + planes).items())
    color = [coded[each] for each in used]
    tile = max(each.area for each in coded.values())
    return ImageStructure(
        width,
        height,
        frames=1,
        pixels=largest + hidden * tile,
        largest=largest,
        end=len(body),
        layout=_layout(color, alpha=alpha is not None),
        buffer_bytes=_turned_bytes(body, graph, color, largest, alpha=alpha is not None),
        coded_bytes=sum(size for each in coded for _, size in graph.extents.get(each, ())),
        exif=_exif(body, graph),
        hidden_frames=hidden,
        mode=_mode(color, alpha=alpha is not None),
    )


def _area(coded: dict[int, _CodedImage], numbers: Counter[int]) -> int:
    return sum(coded[each].area * count for each, count in numbers.items())


def _coded_items(graph: ItemGraph, item: int) -> Counter[int]:
    """Return how often each coded item is decoded for an item. Raises UnsupportedFormat and TooManyPixels."""
    found: Counter[int] = Counter()
    waiting = [(item, 0)]
    for number, depth in waiting:
        kind = graph.types.get(number, b"")
        if kind in _CODED:
            found[number] += 1
        elif kind not in _DERIVED:
            name = kind.decode("ascii", "replace").strip()
            raise UnsupportedFormat(f"HEIF with images of the type {name!r}")
        elif depth == _DEPTH_MAX:
            raise CorruptImage("its images are put together from each other")
        else:
            waiting += [(each, depth + 1) for each in graph.references.get((b"dimg", number), ())]
        if len(waiting) > _IMAGES_MAX:
            raise TooManyPixels(f"more than {_IMAGES_MAX:,} tiles")
    if not found:
        raise CorruptImage("it has no coded image")
    return found


def _alpha_item(body: bytes, graph: ItemGraph) -> int | None:
    """Return the auxiliary item that holds the alpha plane of the primary one (section 6.5.8)."""
    for (kind, number), targets in graph.references.items():
        if kind == b"auxl" and graph.primary in targets:
            types = (box for box in graph.properties.get(number, ()) if box.name == b"auxC")
            if any(body.startswith(_ALPHA_TYPES, box.data + _FULL) for box in types):
                return number
    return None


def _read_coded(
    body: bytes, graph: ItemGraph, numbers: Counter[int]
) -> Iterator[tuple[int, _CodedImage]]:
    """Read each coded item once.

    Raises CorruptImage if items overlap so often that more than twice the body would be read.
    """
    left, walked = 2 * len(body), 0
    for number in numbers:
        extents = graph.extents.get(number, ())
        left -= sum(size for _, size in extents)
        if left < 0 or any(at < 0 or size < 0 or at + size > len(body) for at, size in extents):
            raise CorruptImage("its coded image is cut short")
        properties = {box.name: box for box in graph.properties.get(number, ())}
        if not {b"hvcC", b"ispe"} <= properties.keys():
            raise CorruptImage("a coded image has no size or no configuration")
        record = properties[b"hvcC"]
        configuration = hevc.read_configuration(body[record.data : record.stop])
        data = b"".join(body[at : at + size] for at, size in extents)
        units = [*configuration.units, *hevc.iter_units(data, configuration.length_size)]
        walked += len(units)
        if walked > MAX_SEGMENTS:
            raise CorruptImage(f"more than {MAX_SEGMENTS:,} units in its coded images")
        yield number, _to_coded_image(units, _extent(body, properties[b"ispe"]))


def _to_coded_image(units: list[bytes], declared: tuple[int, int]) -> _CodedImage:
    parameters = [
        hevc.read_parameters(unit)
        for unit in units
        if hevc.unit_type(unit) == hevc.SEQUENCE_PARAMETERS
    ]
    if not parameters:
        raise CorruptImage("a coded image has no sequence parameters")
    pictures = sum(map(hevc.begins_picture, units))
    return _CodedImage(
        area=max(declared[0] * declared[1], *(each.width * each.height for each in parameters)),
        depth=max(each.depth for each in parameters),
        chroma=max(each.chroma for each in parameters),
        pictures=max(1, pictures),
    )


def _extent(body: bytes, box: Box) -> tuple[int, int]:
    """Read width and height from a property (section 6.5.3)."""
    cursor = cursor_of(body, box, _FULL)
    return cursor.number(4), cursor.number(4)


def _shown_size(body: bytes, graph: ItemGraph) -> tuple[int, int, int]:
    """Return width and height after each transformation in its order (section 6.5), and the pixels before them."""
    properties = graph.properties.get(graph.primary, ())
    extents = [_extent(body, box) for box in properties if box.name == b"ispe"]
    if not extents:
        raise CorruptImage("it has no size")
    width, height = extents[0]
    area = width * height
    for box in properties:
        if box.name == b"clap":
            cursor = cursor_of(body, box)
            fields = [cursor.number(4) for _ in range(4)]
            if not (fields[1] and fields[3]):
                raise CorruptImage("its clean aperture is damaged")
            width = min(width, round(fields[0] / fields[1]))
            height = min(height, round(fields[2] / fields[3]))
        elif box.name == b"irot" and cursor_of(body, box).number(1) & 1:
            width, height = height, width
    return width, height, area


def _layout(color: list[_CodedImage], *, alpha: bool) -> str:
    depth = "8 bits" if max(each.depth for each in color) <= _BYTE else "10 or 12 bits"
    chroma = _CHROMA[max(each.chroma for each in color)]
    return f"{chroma}, {depth}{', alpha' * alpha}"


def _turned_bytes(
    body: bytes, graph: ItemGraph, color: list[_CodedImage], area: int, *, alpha: bool
) -> int:
    """Return the bytes of the copy of the planes that libheif makes to turn or mirror them.

    With 8 bits it takes less than the pixels later.
    """
    properties = graph.properties.get(graph.primary, ())
    turned = any(
        box.name == b"imir" or (box.name == b"irot" and cursor_of(body, box).number(1))
        for box in properties
    )
    if not turned or max(each.depth for each in color) <= _BYTE:
        return 0
    return round(area * 2 * (1 + alpha + max(each.chroma for each in color)))


def _mode(color: list[_CodedImage], *, alpha: bool) -> str:
    """Return Pillow's name of the decoded pixel format, of which colour has 8 bits."""
    if alpha:
        return "RGBA"
    if any(each.chroma for each in color):
        return "RGB"
    return "L" if max(each.depth for each in color) <= _BYTE else "I;16"


def _exif(body: bytes, graph: ItemGraph) -> bytes:
    """Return the EXIF block that describes the primary image (annex A)."""
    for number, kind in graph.types.items():
        described = graph.references.get((b"cdsc", number), ())
        if kind != b"Exif" or graph.primary not in described:
            continue
        data = b"".join(body[at : at + size] for at, size in graph.extents.get(number, ()))
        return data[_EXIF_OFFSET_SIZE + int.from_bytes(data[:_EXIF_OFFSET_SIZE], "big") :]
    return b""
