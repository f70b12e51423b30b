"""A base for the image where no registry can be reached: Debian by debootstrap, made once into the user's cache."""

import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from cluster.image.docker import PACKAGES, Docker, ToolMissing
from loadtest.tool_cache import tool_cache

_SUITE = "bookworm"
_OPTIONS = ("--variant=minbase", "--include=ca-certificates,python3,python3-venv")
# Devices are the runtime's to make; the rest is apt's own memory.
_LEFT_OUT = ("./dev/*", "./proc/*", "./sys/*", "./var/cache/apt/*", "./var/lib/apt/lists/*")
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class BaseFailed(Exception):
    """debootstrap or tar ended badly, with its last words."""


def import_base(docker: Docker, tag: str) -> None:
    """Make the base known to the daemon as `tag`; raise ToolMissing or BaseFailed."""
    docker("import", "--change", f"ENV PATH={_PATH}", str(_archive()), tag)


def _archive() -> Path:
    made_of = " ".join((_SUITE, *_OPTIONS, *_LEFT_OUT)).encode()
    archive = tool_cache() / f"base-{hashlib.sha256(made_of).hexdigest()[:12]}.tar"
    if not archive.exists():
        _make(archive)
    return archive


def _make(archive: Path) -> None:
    # Debian keeps it where only root looks, and only root can run it.
    if os.geteuid() != 0 or shutil.which("debootstrap") is None:
        raise ToolMissing(f"a base is made by debootstrap, as root: {PACKAGES}")
    archive.parent.mkdir(parents=True, exist_ok=True)
    # Into a place of its own first, so that nobody sees half of it.
    with tempfile.TemporaryDirectory(dir=archive.parent) as place:
        root, packed = Path(place) / "root", Path(place) / "base.tar"
        _run("debootstrap", *_OPTIONS, _SUITE, str(root))
        left_out = (f"--exclude={pattern}" for pattern in _LEFT_OUT)
        _run("tar", "--create", "--file", str(packed), *left_out, "--directory", str(root), ".")
        packed.rename(archive)


def _run(*command: str) -> None:
    ran = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if ran.returncode != 0:
        raise BaseFailed(f"{command[0]}: {ran.stdout[-1_000:]}{ran.stderr[-1_000:]}")
