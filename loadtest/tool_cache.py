"""Where benchmarks and tests keep what is costly to make: outside the clone, so that a clean clone finds it again."""

import os
from pathlib import Path


def tool_cache() -> Path:
    """The project's folder among the user's caches (XDG Base Directory Specification)."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "imageservice-tools"
