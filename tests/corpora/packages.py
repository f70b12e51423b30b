"""Source packages that contain images: of Debian by name, of PyPI by name and version. They are cached."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_SYSTEM_SOURCES = Path("/etc/apt")

DEBIAN = (
    *("exempi", "exiv2", "gdk-pixbuf", "gegl", "giflib", "golang-1.19", "golang-golang-x-image"),
    *("graphicsmagick", "imagemagick", "jhead", "kimageformats", "leptonlib", "libexif", "libgd2"),
    *("libheif", "libimage-exiftool-perl", "libjpeg-turbo", "libpng1.6", "libsdl2-image"),
    *("libwebp", "php8.2", "qt6-imageformats", "tiff", "vips", "wxwidgets3.2"),
)
"""Of Debian 12; another release has other versions of some names."""
PYPI = {
    "pillow": "13.0.0",
    "pi-heif": "1.4.0",
    "piexif": "1.1.3",
    "pillow-avif-plugin": "1.6.0",
}
NAMES = (*DEBIAN, *PYPI)


class NotFetched(Exception):
    """A package cannot be fetched. The text is the last line of the tool."""


@dataclass(frozen=True, slots=True)
class Package:
    name: str
    archives: tuple[Path, ...]


def fetch(names: list[str], cache: Path) -> Iterator[Package | NotFetched]:
    """Fetch the packages that the cache lacks."""
    apt: _Apt | None = None
    for name in names:
        folder = cache / name
        if not _archives(folder):
            folder.mkdir(parents=True, exist_ok=True)
            try:
                if name in PYPI:
                    _download_sdist(name, PYPI[name], folder)
                else:
                    apt = apt or _Apt.update(cache / "apt")
                    apt.download(name, folder)
            except NotFetched as missing:
                yield missing
                continue
        yield Package(name, _archives(folder))


def _archives(folder: Path) -> tuple[Path, ...]:
    """Return the upstream's archives; a package of Debian has others for Debian's changes and for signatures."""
    pattern = "*.orig*.tar.*" if folder.name in DEBIAN else "*"
    return tuple(sorted(path for path in folder.glob(pattern) if path.suffix != ".asc"))


def _download_sdist(name: str, version: str, folder: Path) -> None:
    _run(
        *(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"),
        *("--no-binary", ":all:", "--dest", str(folder), f"{name}=={version}"),
        what=name,
    )


@dataclass(frozen=True, slots=True)
class _Apt:
    """apt with state of its own, so that it needs no root, and the system's configuration stays as it is."""

    options: tuple[str, ...]

    @classmethod
    def update(cls, folder: Path) -> "_Apt":
        """Read the lists of source packages from the mirrors of the system."""
        for part in ("lists/partial", "archives/partial"):
            (folder / part).mkdir(parents=True, exist_ok=True)
        sources = folder / "debian.sources"
        sources.write_text(_source_entries(), encoding="utf-8")
        values = {
            "Dir::Etc::sourcelist": sources,
            "Dir::Etc::sourceparts": "-",
            "Dir::State::lists": folder / "lists",
            "Dir::Cache": folder,
            "Dir::Cache::archives": folder / "archives",
            "APT::Sandbox::User": "root",  # also for folders that only this user can read
        }
        apt = cls(tuple(f"--option={name}={value}" for name, value in values.items()))
        _run("apt-get", *apt.options, "--quiet", "--quiet", "update", what="apt-get update")
        return apt

    def download(self, name: str, folder: Path) -> None:
        """Download the newest source package of this name, without unpacking it."""
        command = ("apt-get", *self.options, "--quiet", "source", "--download-only", name)
        _run(*command, what=name, folder=folder)


def _source_entries() -> str:
    """Return the system's mirrors of the release as entries for source packages; others may lack the archives."""
    entries = [
        entry
        for path in sorted(_SYSTEM_SOURCES.glob("sources.list.d/*.sources"))
        for entry in path.read_text(encoding="utf-8").split("\n\n")
        if re.search(r"^URIs:.*/debian/?$", entry, re.MULTILINE)
    ]
    if not entries:
        raise NotFetched("no mirror of Debian in /etc/apt/sources.list.d/*.sources")
    return "\n\n".join(re.sub(r"(?m)^Types:.*$", "Types: deb-src", text) for text in entries)


def _run(*command: str, what: str, folder: Path | None = None) -> None:
    environment = {**os.environ, "LC_ALL": "C.UTF-8"}
    try:
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
    except FileNotFoundError as missing:
        raise NotFetched(f"{what}: {missing.filename} is not installed") from None
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        raise NotFetched(f"{what}: {lines[-1]}")
