"""The cache of costly files of benchmarks and tests. It is outside the clone, so that a clean clone finds it again."""

import os
from pathlib import Path


def tool_cache() -> Path:
    """Return the folder of the project in the cache of the user (XDG Base Directory Specification)."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "imageservice-tools"
