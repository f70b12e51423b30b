"""Searches published images for a location with exiftool."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from corpora.verdicts import Published
from harness.exiftool import read_location_tags

_AT_ONCE = 200


@dataclass(frozen=True, slots=True)
class Finding:
    """Location tags of one image, as `GROUP:NAME=VALUE`."""

    source: str
    name: str
    tags: tuple[str, ...] = ()


@dataclass(slots=True)
class LocationCheck:
    """Locations that exiftool finds in completed images, compared with the metadata of the service.

    leaks: a location in the published body. unreported: one in the source alone, and the metadata
    lists no removed part.
    unseen: none in the source, and `had_location` is true. removed: images with `had_location`.
    """

    checked: int = 0
    removed: int = 0
    leaks: list[Finding] = field(default_factory=list)
    unreported: list[Finding] = field(default_factory=list)
    unseen: list[Finding] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """Whether nothing leaks or is unreported. exiftool must also find half of the removed locations."""
        return not (self.leaks or self.unreported) and len(self.unseen) <= self.removed // 2


def check(published: Iterable[Published]) -> LocationCheck:
    """Search the source and the published body of all completed images."""
    result = LocationCheck()
    for some in _chunks(published):
        after = read_location_tags([(image.body, image.extension) for image in some])
        before = read_location_tags([(image.sample.body, image.extension) for image in some])
        for image, left, found in zip(some, after, before, strict=True):
            where = (image.sample.source, image.sample.name)
            result.checked += 1
            result.removed += image.had_location
            if left:
                result.leaks.append(Finding(*where, left))
            elif found and not image.removed:
                result.unreported.append(Finding(*where, found))
            elif image.had_location and not found:
                result.unseen.append(Finding(*where))
    return result


def _chunks(published: Iterable[Published]) -> Iterator[list[Published]]:
    chunk: list[Published] = []
    for image in published:
        chunk.append(image)
        if len(chunk) == _AT_ONCE:
            yield chunk
            chunk = []
    if chunk:
        yield chunk
