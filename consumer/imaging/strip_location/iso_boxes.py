"""Finds the items, the boxes and the tracks of metadata in AVIF and HEIC, and the bytes of the coded images."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from consumer.imaging.structure.iso.boxes import FULL, Box, Extents, IsoFile, iter_boxes
from consumer.imaging.structure.iso.items import Item, iter_items
from consumer.imaging.structure.iso.tracks import handlers, samples
from core.errors import CorruptImage

TRACK = b"trak"
_CODED_ITEMS = frozenset(
    {b"av01", b"hvc1", b"hev1", b"lhv1", b"avc1", b"vvc1", b"j2k1", b"unci"}
    | {b"grid", b"iovl", b"iden", b"tmap", b"mski", b"tili"}
)
_IMAGE_ITEMS = _CODED_ITEMS | {b"jpeg"}
"""Types of items that are images (ISO/IEC 23008-12, 23001-17). Packets of XMP in a JPEG are blanked."""
_METADATA, _MEDIA = b"meta", b"mdat"
_CONTAINERS = frozenset({b"moov", b"mdia"})
_USER_DATA = frozenset({b"udta", b"meco"})
"""Boxes that rarely hold a metadata box with items."""
_IMAGE_BOXES = frozenset(
    {b"ftyp", b"mvhd", b"tkhd", b"mdhd", b"minf", b"hdlr", b"edts", b"tref"}
    | {b"iinf", b"iloc", b"iprp", b"iref", b"pitm", b"idat", b"grpl", b"dinf"}
)
"""Boxes without text, and those whose content is found by items."""
_HANDLER, _LOCATIONS = b"hdlr", b"iloc"
_SHOWN = frozenset({b"pict", b"vide", b"auxv", b"soun"})
"""Handlers of tracks of images and sound."""
_DEPTH_MAX = 8
_PARTS_MAX = 10_000
"""Items and boxes of metadata. Each is searched for every kind of location."""
_OVERLAPS_MAX = 2
"""How often the bytes of a file may be read as items of one kind. Items may share bytes."""


@dataclass(frozen=True, slots=True)
class IsoBoxes:
    """images and items: those of coded images, and those of metadata.

    metadata: boxes without items, and tracks of anything else than images and sound.
    tracks: of images and sound. media: start and stop of each media data box.
    """

    file: IsoFile
    images: list[Item] = field(default_factory=list)
    items: list[Item] = field(default_factory=list)
    metadata: list[Box] = field(default_factory=list)
    tracks: list[Box] = field(default_factory=list)
    media: list[tuple[int, int]] = field(default_factory=list)

    def coded_extents(self) -> Iterator[tuple[int, int]]:
        """Yield offset and size of each piece of the coded images. Raises CorruptImage if they overlap too often."""
        pieces = [item.extents for item in self.images]
        for track in self.tracks:
            pieces += samples(self.file, track)
        return self._bounded(pieces)

    def sample_extents(self, track: Box) -> Iterator[tuple[int, int]]:
        """Do the same for the samples of a track, as far as they lie in media data boxes."""
        media = sorted(self.media)
        for at, size in self._bounded(samples(self.file, track)):
            index = bisect_right(media, (at, len(self.file.body))) - 1
            if index >= 0 and at + size <= media[index][1]:
                yield at, size

    def _bounded(self, pieces: Iterable[Extents]) -> Iterator[tuple[int, int]]:
        left = _OVERLAPS_MAX * len(self.file.body)
        for extents in pieces:
            for at, size in extents:
                left -= size
                if left < 0:
                    raise CorruptImage("its images or samples overlap too often")
                yield at, size


def read_boxes(body: bytes) -> IsoBoxes:
    """Find all of them. Raises CorruptImage if items reach beyond the end, overlap too often or are too many."""
    file, left = IsoFile(body), _OVERLAPS_MAX * len(body)
    found = IsoBoxes(file)
    for meta in _walk(found):
        for item in iter_items(file, meta):
            if item.type in _IMAGE_ITEMS:
                if item.type in _CODED_ITEMS:
                    found.images.append(item)
                continue
            left -= sum(size for _, size in item.extents)
            within = all(
                at >= 0 and size >= 0 and at + size <= len(body) for at, size in item.extents
            )
            if left < 0 or not within:
                raise CorruptImage("its metadata is cut short")
            found.items.append(item)
    if len(found.items) + len(found.metadata) > _PARTS_MAX:
        raise CorruptImage(f"more than {_PARTS_MAX:,} boxes and items of metadata")
    return found


def _walk(found: IsoBoxes) -> Iterator[Box]:
    """Find boxes and tracks at any depth. Yields the metadata boxes that have items."""
    file = found.file
    waiting = [(box, 0) for box in iter_boxes(file, 0, len(file.body))]
    while waiting:
        box, depth = waiting.pop()
        inner = _inner_boxes(file, box) if depth < _DEPTH_MAX else []
        waiting += [(each, depth + 1) for each in inner]
        if box.name in _CONTAINERS and depth < _DEPTH_MAX:
            continue
        if inner and box.name == TRACK:
            found.tracks.append(box)
        elif inner and box.name == _METADATA:
            yield box
        elif box.name == _MEDIA:
            found.media.append((box.data, box.stop))
        elif not inner and box.name not in _IMAGE_BOXES:
            found.metadata.append(box)


def _inner_boxes(file: IsoFile, box: Box) -> list[Box]:
    """Return the boxes in a container, in a track of images or sound, and in metadata or user data with items.

    QuickTime's metadata box is no full box: it begins with a handler box, and it has no items.
    """
    if (
        box.name in _CONTAINERS
        or (box.name == TRACK and _is_shown(file, box))
        or (box.name in _USER_DATA and file.body.find(_LOCATIONS, box.data, box.stop) >= 0)
    ):
        return list(iter_boxes(file, box.data, box.stop))
    if box.name != _METADATA or file.body[box.data + 4 : box.data + 8] == _HANDLER:
        return []
    inner = list(iter_boxes(file, box.data + FULL, box.stop))
    return inner if any(each.name == _LOCATIONS for each in inner) else []


def _is_shown(file: IsoFile, track: Box) -> bool:
    found = handlers(file, track)
    return bool(found) and found <= _SHOWN
