"""The heading of a report: time, machine and commit of the run."""

import platform
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import psutil

from loadtest.run_report.record import Cell, Heading

_GIB = 1024**3
_ROOT = Path(__file__).parents[2]
_OWN_OUTPUT = (":(exclude)loadtest/reports", ":(exclude)docs/performance.md")
"""Reports are not code. Otherwise only the first of several runs could have a clean commit."""
_TIMEOUT_S = 10
UNKNOWN = "unknown"


def heading(title: str, settings: Mapping[str, Cell]) -> Heading:
    """Describe a run that starts now. Reads files and runs git; do not call it in the event loop."""
    started = datetime.now(UTC).isoformat(timespec="seconds")
    return Heading(title, commit(), _machine(), started, dict(settings))


def _machine() -> str:
    memory = round(psutil.virtual_memory().total / _GIB)
    return (
        f"{processor()}, {psutil.cpu_count()} cores, {memory} GiB, {platform.system()} "
        f"{platform.release()}, {platform.python_implementation()} {platform.python_version()}"
    )


def processor() -> str:
    """Return the processor model. On Linux only /proc/cpuinfo has it; `platform.processor` is empty there."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def commit(root: Path = _ROOT) -> str:
    """Return the short hash of the checked-out commit, with "-dirty" if files differ, or UNKNOWN without git.

    Runs git; do not call it in the event loop.
    """
    head = _git(root, "rev-parse", "--short=12", "HEAD")
    if head is None:
        return UNKNOWN
    return head + ("-dirty" if _git(root, "status", "--porcelain", "--", ".", *_OWN_OUTPUT) else "")


def _git(root: Path, *arguments: str) -> str | None:
    try:
        ran = subprocess.run(  # noqa: S603
            ("git", *arguments),  # noqa: S607  found on the user's PATH
            cwd=root,
            capture_output=True,
            text=True,
            check=True,
            timeout=_TIMEOUT_S,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return ran.stdout.strip()
