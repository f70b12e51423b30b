"""Where and on what a run took place, found out from this machine."""

import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import psutil

from loadtest.run_report.commit import commit
from loadtest.run_report.record import Cell, Heading

_GIB = 1024**3


def heading(title: str, settings: Mapping[str, Cell]) -> Heading:
    """Of a run that starts now. Reads files and asks git: not for the event loop."""
    started = datetime.now(UTC).isoformat(timespec="seconds")
    return Heading(title, commit(), _machine(), started, dict(settings))


def _machine() -> str:
    memory = round(psutil.virtual_memory().total / _GIB)
    return (
        f"{processor()}, {psutil.cpu_count()} cores, {memory} GiB, {platform.system()} "
        f"{platform.release()}, {platform.python_implementation()} {platform.python_version()}"
    )


def processor() -> str:
    """Linux tells the model in a file only; `platform.processor` is empty there."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
