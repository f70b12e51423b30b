"""The items that the demo submits, and the expected end of each."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cli.output.outcome import COMPLETED

SUFFIXES = frozenset(
    {".avif", ".bmp", ".gif", ".heic", ".jpg", ".jpeg", ".png", ".tif", ".tiff", ".webp"}
)

BAD = {
    "pictures/bad/truncated.jpg": "CORRUPT_IMAGE",
    "pictures/bad/not-an-image.jpg": "NOT_AN_IMAGE",
    "pictures/bad/drawing.svg": "UNSUPPORTED_FORMAT",
    "pictures/bad/bomb.png": "TOO_MANY_PIXELS",
    "behave/status/404": "NOT_FOUND",
}
BEHAVIOURS = {
    "503, then an image": "behave/flaky?key=demo&times=1&picture={picture}",
    "two redirects": "behave/redirect-chain/2?picture={picture}",
}
METADATA_SERVICE = "http://169.254.169.254/latest/meta-data/"
"""The metadata service of a cloud machine, which holds its credentials: the typical target of SSRF."""

GOOD_LABELS = {"set": "images"}
"""The labels of the valid images."""
RENDITIONS = ("thumbnail",)
"""The renditions of the valid images."""
BEHAVIOUR_LABELS = {"set": "behaviours"}


@dataclass(frozen=True, slots=True)
class Item:
    name: str
    url: str
    expected: str
    """COMPLETED or a failure code."""
    labels: Mapping[str, str] = field(default_factory=dict, hash=False)
    renditions: tuple[str, ...] = ()


def list_images(folder: Path) -> list[str]:
    """Return the names of the images in the folder, sorted. Reads the disk."""
    return sorted(path.name for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)


def items(origin: str, names: Iterable[str]) -> list[Item]:
    """Return all items. `origin` is a URL without a trailing slash; `names` must not be empty."""
    good = [
        Item(name, f"{origin}/pictures/{name}", COMPLETED, GOOD_LABELS, RENDITIONS)
        for name in names
    ]
    behaviours = [
        Item(name, f"{origin}/{path.format(picture=good[0].name)}", COMPLETED, BEHAVIOUR_LABELS)
        for name, path in BEHAVIOURS.items()
    ]
    bad = [Item(path.rpartition("/")[2], f"{origin}/{path}", code) for path, code in BAD.items()]
    blocked = Item("metadata service", METADATA_SERVICE, "BLOCKED_ADDRESS")
    return [*good, *behaviours, *bad, blocked]
