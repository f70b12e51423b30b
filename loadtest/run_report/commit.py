"""Which code ran."""

import subprocess
from pathlib import Path

_ROOT = Path(__file__).parents[2]
_OWN_OUTPUT = (":(exclude)loadtest/reports", ":(exclude)docs/performance.md")
"""What runs and benchmarks write is no change of the code: else only the first would be of a clean commit."""
_LONGEST_S = 10
UNKNOWN = "unknown"


def commit(root: Path = _ROOT) -> str:
    """The short hash of what is checked out, with "-dirty" where files differ from it; UNKNOWN without git.

    Runs git: not for the event loop.
    """
    head = _git(root, "rev-parse", "--short=12", "HEAD")
    if head is None:
        return UNKNOWN
    return head + ("-dirty" if _git(root, "status", "--porcelain", "--", ".", *_OWN_OUTPUT) else "")


def _git(root: Path, *arguments: str) -> str | None:
    try:
        ran = subprocess.run(  # noqa: S603
            ("git", *arguments),  # noqa: S607  as the person's own shell finds it
            cwd=root,
            capture_output=True,
            text=True,
            check=True,
            timeout=_LONGEST_S,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return ran.stdout.strip()
