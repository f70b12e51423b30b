"""The build context of the image: .dockerignore excludes everything that it does not name."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
_COPY = re.compile(r"^COPY (?!--from)(.+) \S+$", re.MULTILINE)
"""A COPY from the build context: its sources, and one destination."""


def _copied() -> set[str]:
    sources = {
        source
        for found in _COPY.findall((ROOT / "Dockerfile").read_text())
        for source in found.split()
    }
    return sources - {"."}


def _allowed() -> set[str]:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    assert "*" in lines
    return {line[1:] for line in lines if line.startswith("!")}


def test_the_context_has_everything_that_the_image_copies() -> None:
    copied = _copied()
    assert "pyproject.toml" in copied
    for source in copied:
        assert source.split("/")[0] in _allowed(), source
        assert (ROOT / source).exists(), source
