"""Searches published images for a location with exiftool, which reads more formats and maker notes than we do."""

import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from corpora.verdicts import Published

_AT_ONCE = 200
_LOCATION = re.compile(
    r"GPS|Latitude|Longitude|Location|[Ss]ub-?location|City|Province|^State$|Country|Geotag|GeoURI"
)
_NO_LOCATION = re.compile(
    r"ISOSpeedLatitude|GPSVersionID$|"
    # Positions in the image or in the file.
    r"SubjectLocation|FocusLocation|PreviewImageLocation|DataLocation|"
    # The clock of a camera.
    r"HometownCity|DestinationCity|TimeZoneCity$|WorldTimeLocation$"
)
_OTHER_GROUPS = frozenset(
    # Of the file, of the device, computed from other tags, and of surveys of signs: "Roundabout".
    {"", "System", "File", "ICC_Profile", "Composite", "RMETA"}
)


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


def available() -> bool:
    return shutil.which("exiftool") is not None


def check(published: Iterable[Published]) -> LocationCheck:
    """Search all bodies that would be stored, and the sources of those whose location was removed."""
    result = LocationCheck(0, 0, 0, [])
    for some in _chunks(published):
        result.checked += len(some)
        for image, tags in zip(some, _read([(p.body, p.extension) for p in some]), strict=True):
            if tags:
                result.leaks.append(Finding(image.sample.source, image.sample.name, tags))
        removed = [image for image in some if image.had_location]
        originals = _read([(image.sample.body, image.extension) for image in removed])
        result.known += len(removed)
        result.seen += sum(bool(tags) for tags in originals)
    return result


def _read(files: list[tuple[bytes, str]]) -> list[tuple[str, ...]]:
    """Return the location tags of each file."""
    if not files:
        return []
    with tempfile.TemporaryDirectory() as folder:
        paths = [
            Path(folder) / f"{number}.{extension}" for number, (_, extension) in enumerate(files)
        ]
        for path, (body, _) in zip(paths, files, strict=True):
            path.write_bytes(body)
        # -G1:4 also numbers the copies of a tag, which JSON would drop. Status 1: some file has no metadata.
        command = ["exiftool", "-a", "-G1:4", "-ee", "-n", "-json", "-q", "-q", "-@", "-"]
        done = subprocess.run(
            command,
            input="\n".join(map(str, paths)),
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
        by_path = {entry["SourceFile"]: entry for entry in json.loads(done.stdout)}
    return [tuple(location_tags(by_path[str(path)])) for path in paths]


def location_tags(entry: dict[str, object]) -> Iterator[str]:
    """Return the tags of exiftool's JSON object that tell a location, and have a value."""
    for key, value in entry.items():
        group, _, rest = key.partition(":")
        name = rest.rpartition(":")[2]
        if group in _OTHER_GROUPS or _NO_LOCATION.match(name):
            continue
        if not any(character.isalnum() for character in str(value)):
            continue
        if group == "GPS" or _LOCATION.search(name):
            yield f"{group}:{name}={str(value)[:60]}"


def _chunks(published: Iterable[Published]) -> Iterator[list[Published]]:
    chunk: list[Published] = []
    for image in published:
        chunk.append(image)
        if len(chunk) == _AT_ONCE:
            yield chunk
            chunk = []
    if chunk:
        yield chunk
