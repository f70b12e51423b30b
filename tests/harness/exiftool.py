"""Reads location tags with exiftool, which reads more formats and maker notes than we do."""

import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

_LOCATION = re.compile(
    r"GPS|Latitude|Longitude|Location|[Ss]ub-?location|City|Province|Locality|^State$|Country|Geotag|GeoURI|"
    # Of GeoTIFF.
    r"^ModelTie|^ModelTransform|^PixelScale"
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


def available() -> bool:
    return shutil.which("exiftool") is not None


def read_location_tags(files: list[tuple[bytes, str]]) -> list[tuple[str, ...]]:
    """Return the location tags of each file, which is a body and an extension, as `GROUP:NAME=VALUE`."""
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
        if group == "FLIR" and value == 0:  # a record that was blanked
            continue
        if not any(character.isalnum() for character in str(value)):
            continue
        if group in ("GPS", "GeoTiff") or _LOCATION.search(name):
            yield f"{group}:{name}={str(value)[:60]}"
