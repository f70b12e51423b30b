"""HEIC: reads the items of which the primary image consists, and their coded size (ISO/IEC 23008-12)."""

from collections import Counter
from collections.abc import Iterable, Iterator
from functools import cache, partial
from itertools import chain
from typing import NamedTuple

from consumer.imaging.structure.image_structure import ImageStructure
from consumer.imaging.structure.iso import hevc
from consumer.imaging.structure.iso.boxes import (
    Box,
    Extents,
    IsoFile,
    cursor_of,
    image_end,
    iter_boxes,
)
from consumer.imaging.structure.iso.items import ItemGraph, check_texts, read_graph
from core.errors import CorruptImage, TooManyPixels, UnsupportedFormat

_CODED = frozenset({b"hvc1", b"hev1"})
_DERIVED = frozenset({b"grid", b"iovl", b"iden"})
"""Images that are put together from others (section 6.6.2)."""
_IMAGES_MAX = 4_096
"""Coded images of which an image is put together. A phone writes a tile for each 512 x 512 pixels."""
_DEPTH_MAX = 4
_COPIES_MAX, _COPIED_MAX = 4, 16_777_216
"""Copies of the file, or bytes, that metadata may take."""
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
    file = IsoFile(body)
    graph = _read_items(file)
    alpha = _alpha_item(file, graph)
    used = _coded_items(graph, graph.primary)
    planes = _coded_items(graph, alpha) if alpha is not None else Counter[int]()
    coded = dict(_read_coded(file, graph, used | planes))
    width, height, shown = _shown_size(file, graph)
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
        buffer_bytes=_turned_bytes(file, graph, color, largest, alpha=alpha is not None)
        + _copied_bytes(file, graph),
        coded_bytes=sum(size for each in coded for _, size in graph.extents.get(each, ())),
        exif=_exif(file, graph),
        hidden_frames=hidden,
        mode=_mode(color, alpha=alpha is not None),
    )


def _read_items(file: IsoFile) -> ItemGraph:
    metas = [box for box in iter_boxes(file, 0, len(file.body)) if box.name == b"meta"]
    if not metas:
        raise UnsupportedFormat("HEIC without a still image")
    if len(metas) > 1:
        raise CorruptImage("it has more than one metadata box")
    check_texts(file, metas[0])
    return read_graph(file, metas[0])


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


def _alpha_item(file: IsoFile, graph: ItemGraph) -> int | None:
    """Return the auxiliary item that holds the alpha plane of the primary one (section 6.5.8)."""
    for (kind, number), targets in graph.references.items():
        if kind == b"auxl" and graph.primary in targets:
            types = (box for box in graph.properties.get(number, ()) if box.name == b"auxC")
            if any(file.body.startswith(_ALPHA_TYPES, box.data + _FULL) for box in types):
                return number
    return None


def _read_coded(
    file: IsoFile, graph: ItemGraph, numbers: Counter[int]
) -> Iterator[tuple[int, _CodedImage]]:
    """Read each coded item once.

    Raises CorruptImage if items overlap so often that more than twice the body would be read.
    """
    left = 2 * len(file.body)
    read_configuration = cache(partial(_read_configuration, file))
    parameter_sets = hevc.ParameterSets()
    for number in numbers:
        extents = graph.extents.get(number, ())
        left -= sum(size for _, size in extents)
        if left < 0 or not _are_within(file, extents):
            raise CorruptImage("its coded image is cut short")
        properties = {box.name: box for box in graph.properties.get(number, ())}
        if not {b"hvcC", b"ispe"} <= properties.keys():
            raise CorruptImage("a coded image has no size or no configuration")
        configuration = read_configuration(properties[b"hvcC"])
        units = hevc.iter_units(_join(file, extents), configuration.length_size)
        declared = _extent(file, properties[b"ispe"])
        bounded = _count(file, chain(configuration.units, units))
        yield number, _to_coded_image(bounded, declared, parameter_sets)


def _are_within(file: IsoFile, extents: Extents) -> bool:
    return all(at >= 0 and size >= 0 and at + size <= len(file.body) for at, size in extents)


def _join(file: IsoFile, extents: Extents) -> bytes:
    return b"".join(file.body[at : at + size] for at, size in extents)


def _read_configuration(file: IsoFile, record: Box) -> hevc.Configuration:
    return hevc.read_configuration(file.body[record.data : record.stop])


def _count(file: IsoFile, units: Iterable[bytes]) -> Iterator[bytes]:
    for unit in units:
        file.spend(1)
        yield unit


def _to_coded_image(
    units: Iterable[bytes], declared: tuple[int, int], parameter_sets: hevc.ParameterSets
) -> _CodedImage:
    parameters, pictures = [], 0
    for unit in units:
        pictures += hevc.begins_picture(unit)
        if hevc.unit_type(unit) == hevc.SEQUENCE_PARAMETERS:
            parameters.append(parameter_sets.read(unit))
    if not parameters:
        raise CorruptImage("a coded image has no sequence parameters")
    return _CodedImage(
        area=max(declared[0] * declared[1], *(each.width * each.height for each in parameters)),
        depth=max(each.depth for each in parameters),
        chroma=max(each.chroma for each in parameters),
        pictures=max(1, pictures),
    )


def _extent(file: IsoFile, box: Box) -> tuple[int, int]:
    """Read width and height from a property (section 6.5.3)."""
    cursor = cursor_of(file, box, _FULL)
    return cursor.number(4), cursor.number(4)


def _shown_size(file: IsoFile, graph: ItemGraph) -> tuple[int, int, int]:
    """Return width and height after each transformation in its order (section 6.5), and the pixels before them."""
    properties = graph.properties.get(graph.primary, ())
    extents = [_extent(file, box) for box in properties if box.name == b"ispe"]
    if not extents:
        raise CorruptImage("it has no size")
    width, height = extents[0]
    area = width * height
    for box in properties:
        if box.name == b"clap":
            cursor = cursor_of(file, box)
            fields = [cursor.number(4) for _ in range(4)]
            if not (fields[1] and fields[3]):
                raise CorruptImage("its clean aperture is damaged")
            width = min(width, round(fields[0] / fields[1]))
            height = min(height, round(fields[2] / fields[3]))
        elif box.name == b"irot" and cursor_of(file, box).number(1) & 1:
            width, height = height, width
    return width, height, area


def _layout(color: list[_CodedImage], *, alpha: bool) -> str:
    depth = "8 bits" if max(each.depth for each in color) <= _BYTE else "10 or 12 bits"
    chroma = _CHROMA[max(each.chroma for each in color)]
    return f"{chroma}, {depth}{', alpha' * alpha}"


def _turned_bytes(
    file: IsoFile, graph: ItemGraph, color: list[_CodedImage], area: int, *, alpha: bool
) -> int:
    """Return the bytes of the copy of the planes that libheif makes to turn or mirror them.

    With 8 bits it takes less than the pixels later.
    """
    properties = graph.properties.get(graph.primary, ())
    turned = any(
        box.name == b"imir" or (box.name == b"irot" and cursor_of(file, box).number(1))
        for box in properties
    )
    if not turned or max(each.depth for each in color) <= _BYTE:
        return 0
    return round(area * 2 * (1 + alpha + max(each.chroma for each in color)))


def _copied_bytes(file: IsoFile, graph: ItemGraph) -> int:
    """Return the bytes of metadata and colour profiles. pi-heif copies them for each image that they describe.

    Raises CorruptImage if that is many times the file.
    """
    described = sum(
        len(targets) * sum(size for _, size in graph.extents.get(number, ()))
        for (kind, number), targets in graph.references.items()
        if kind == b"cdsc"
    )
    profiles = sum(
        box.stop - box.data
        for properties in graph.properties.values()
        for box in properties
        if box.name == b"colr"
    )
    copied = described + profiles
    if copied > max(_COPIES_MAX * len(file.body), _COPIED_MAX):
        raise CorruptImage("its metadata describes too many images")
    return copied


def _mode(color: list[_CodedImage], *, alpha: bool) -> str:
    """Return Pillow's name of the decoded pixel format, of which colour has 8 bits."""
    if alpha:
        return "RGBA"
    if any(each.chroma for each in color):
        return "RGB"
    return "L" if max(each.depth for each in color) <= _BYTE else "I;16"


def _exif(file: IsoFile, graph: ItemGraph) -> bytes:
    """Return the EXIF block that describes the primary image (annex A)."""
    for number, kind in graph.types.items():
        described = graph.references.get((b"cdsc", number), ())
        if kind != b"Exif" or graph.primary not in described:
            continue
        extents = graph.extents.get(number, ())
        if sum(size for _, size in extents) > len(file.body):
            raise CorruptImage("its EXIF overlaps itself")
        data = _join(file, extents)
        return data[_EXIF_OFFSET_SIZE + int.from_bytes(data[:_EXIF_OFFSET_SIZE], "big") :]
    return b""
