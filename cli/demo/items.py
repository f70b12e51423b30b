"""What the demonstration submits, and how each must end."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cli.output.outcome import COMPLETED

SUFFIXES = frozenset({".avif", ".bmp", ".gif", ".jpg", ".jpeg", ".png", ".tif", ".tiff", ".webp"})

BAD = {
    "pictures/bad/truncated.jpg": "CORRUPT_IMAGE",
    "pictures/bad/not-an-image.jpg": "NOT_AN_IMAGE",
    "pictures/bad/drawing.svg": "UNSUPPORTED_FORMAT",
    "pictures/bad/bomb.png": "TOO_MANY_PIXELS",
    "behave/status/404": "NOT_FOUND",
}
BEHAVIOURS = {
    "503, then a picture": "behave/flaky?key=demo&times=1&picture={picture}",
    "two redirects": "behave/redirect-chain/2?picture={picture}",
}
METADATA_SERVICE = "http://169.254.169.254/latest/meta-data/"
"""Where a cloud keeps its machines' credentials: the address that a stranger would most like to have fetched."""

GOOD_LABELS = {"set": "pictures"}
"""The labels of the pictures that come as pictures should."""
BEHAVIOUR_LABELS = {"set": "manners"}


@dataclass(frozen=True, slots=True)
class Item:
    name: str
    url: str
    expected: str
    """COMPLETED, or the failure's code."""
    labels: Mapping[str, str] = field(default_factory=dict, hash=False)


def list_images(folder: Path) -> list[str]:
    """Names of the pictures in the folder itself, in order. Reads the disk."""
    return sorted(path.name for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)


def items(origin: str, pictures: Iterable[str]) -> list[Item]:
    """`origin` is a URL without a slash at its end; there must be a picture at least."""
    good = [Item(name, f"{origin}/pictures/{name}", COMPLETED, GOOD_LABELS) for name in pictures]
    manners = [
        Item(name, f"{origin}/{path.format(picture=good[0].name)}", COMPLETED, BEHAVIOUR_LABELS)
        for name, path in BEHAVIOURS.items()
    ]
    is_error = [
        Item(path.rpartition("/")[2], f"{origin}/{path}", code) for path, code in BAD.items()
    ]
    blocked = Item("metadata service", METADATA_SERVICE, "BLOCKED_ADDRESS")
    return [*good, *manners, *is_error, blocked]
