"""The images in source packages. They are read from the archives; nothing is unpacked to disk."""

import re
import tarfile
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from corpora.packages import Package

MAX_BYTES = 20 * 1024 * 1024
"""The consumer's default for MAX_BODY_BYTES."""
_IMAGE = re.compile(
    r"\.(jpe?g|jpe|jfif|mpo|a?png|gif|webp|avifs?|hei[cf]s?|hif|tiff?|bmp|dib|ico|cur|tga|jp2|j2k|jxl|psd|"
    r"nef|cr[23w]|arw|iiq|dng|orf|rw2|raf|pef|srw|mrw|mos|svg|pcx|p[gpbn]m|exr|hdr|xcf)$",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Sample:
    """An image of a package. `name` is its path in the archive, without the top folder."""

    source: str
    name: str
    body: bytes = field(repr=False)

    @property
    def digest(self) -> str:
        return sha256(self.body).hexdigest()


def read_samples(package: Package) -> Iterator[Sample]:
    """Return the images of a package up to MAX_BYTES, each content once."""
    seen: set[str] = set()
    for archive in package.archives:
        for path, body in _members(archive):
            sample = Sample(package.name, path.partition("/")[2] or path, body)
            if sample.digest not in seen:
                seen.add(sample.digest)
                yield sample


def choose(samples: Iterable[Sample], count: int) -> list[Sample]:
    """Return at most `count` samples, spread over the whole, the same in each run."""
    return sorted(samples, key=lambda sample: sample.digest)[:count]


def _members(archive: Path) -> Iterator[tuple[str, bytes]]:
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as opened:
            for entry in opened.infolist():
                if _wanted(entry.filename, entry.file_size):
                    yield entry.filename, opened.read(entry)
        return
    with tarfile.open(archive) as tar:
        for member in tar:
            if member.isfile() and _wanted(member.name, member.size):
                file = tar.extractfile(member)
                assert file is not None
                yield member.name, file.read()


def _wanted(name: str, size: int) -> bool:
    return 0 < size <= MAX_BYTES and _IMAGE.search(name) is not None
