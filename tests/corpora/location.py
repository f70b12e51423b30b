"""Searches published images for a location with exiftool."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from corpora.verdicts import Published
from harness.exiftool import read_location_tags

_AT_ONCE = 200


@dataclass(frozen=True, slots=True)
class Finding:
    """Location tags in one file, as `GROUP:NAME=VALUE`."""

    source: str
    name: str
    tags: tuple[str, ...]


@dataclass(slots=True)
class LocationCheck:
    """Counts and findings of the published files.

    known: images whose location was removed. seen: those of them in whose source exiftool finds one.
    """

    checked: int
    known: int
    seen: int
    leaks: list[Finding]

    @property
    def passed(self) -> bool:
        """Whether nothing was found, by a search that finds what it should."""
        return not self.leaks and self.seen >= self.known // 2


def check(published: Iterable[Published]) -> LocationCheck:
    """Search all bodies that would be stored, and the sources of those whose location was removed."""
    result = LocationCheck(0, 0, 0, [])
    for some in _chunks(published):
        result.checked += len(some)
        for image, tags in zip(
            some, read_location_tags([(p.body, p.extension) for p in some]), strict=True
        ):
            if tags:
                result.leaks.append(Finding(image.sample.source, image.sample.name, tags))
        removed = [image for image in some if image.had_location]
        originals = read_location_tags([(image.sample.body, image.extension) for image in removed])
        result.known += len(removed)
        result.seen += sum(bool(tags) for tags in originals)
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
