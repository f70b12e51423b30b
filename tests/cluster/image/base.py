"""A base image built with debootstrap, for machines without a registry. It is built once into the user's cache."""

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
# The container runtime creates the devices; the other paths are caches of apt.
_EXCLUDED = ("./dev/*", "./proc/*", "./sys/*", "./var/cache/apt/*", "./var/lib/apt/lists/*")
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class BaseFailed(Exception):
    """debootstrap or tar failed. `str()` has the end of its output."""


def import_base(docker: Docker, tag: str) -> None:
    """Import the base into the daemon as `tag`. Raises ToolMissing, BaseFailed."""
    docker("import", "--change", f"ENV PATH={_PATH}", str(_archive()), tag)


def _archive() -> Path:
    inputs = " ".join((_SUITE, *_OPTIONS, *_EXCLUDED)).encode()
    archive = tool_cache() / f"base-{hashlib.sha256(inputs).hexdigest()[:12]}.tar"
    if not archive.exists():
        _build(archive)
    return archive


def _build(archive: Path) -> None:
    # debootstrap is in a folder that is only on root's PATH, and only root can run it.
    if os.geteuid() != 0 or shutil.which("debootstrap") is None:
        raise ToolMissing(f"debootstrap builds the base, as root: {PACKAGES}")
    archive.parent.mkdir(parents=True, exist_ok=True)
    # Build in a temporary folder first, so that no other process sees an incomplete archive.
    with tempfile.TemporaryDirectory(dir=archive.parent) as folder:
        root, packed = Path(folder) / "root", Path(folder) / "base.tar"
        _run("debootstrap", *_OPTIONS, _SUITE, str(root))
        excluded = (f"--exclude={pattern}" for pattern in _EXCLUDED)
        _run("tar", "--create", "--file", str(packed), *excluded, "--directory", str(root), ".")
        packed.rename(archive)


def _run(*command: str) -> None:
    ran = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if ran.returncode != 0:
        raise BaseFailed(f"{command[0]}: {ran.stdout[-1_000:]}{ran.stderr[-1_000:]}")
