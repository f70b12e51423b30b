"""The system under load: what the options say, and what its ready file says."""

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Target:
    """The options that select the system under load."""

    address: str
    ready_file: Path | None
    up: bool
    consumers: int
    origins: tuple[str, ...]
    """Base URLs; if empty, an origin is started here."""
    hosts: int
    sampled: Mapping[str, int]
    """Further processes to sample: process ids by name."""


@dataclass(slots=True)
class SystemInfo:
    """A running system. `imageservice up --ready-file` writes this information."""

    address: str
    environment: dict[str, str] = field(default_factory=dict)
    """Settings of server and consumers, including their access to AWS."""
    metrics: tuple[str, ...] = ()
    pids: Callable[[], dict[str, int]] = dict
    """Returns the ids of the current processes by name."""
    backend: str = ""
    """The kind of AWS, if known."""

    @classmethod
    def read(cls, path: Path) -> "SystemInfo":
        """Raises OSError, ValueError or KeyError if the file is not a ready file."""
        content = read_ready_file(path)
        return cls(
            address=content["address"],
            environment={str(k): str(v) for k, v in content["environment"].items()},
            metrics=tuple(content["metrics"]),
            pids=_Pids(path, _by_name(content["pids"])),
            backend="embedded AWS" if "aws" in content["pids"] else "",
        )


@dataclass(slots=True)
class _Pids:
    """Reads the file at each call, because `imageservice up` rewrites it when it replaces a process."""

    path: Path
    last: dict[str, int]
    """Returned while the file is missing, as during the replacement of a process."""

    def __call__(self) -> dict[str, int]:
        with suppress(OSError, ValueError, LookupError):
            self.last = _by_name(read_ready_file(self.path)["pids"])
        return self.last


def read_ready_file(path: Path) -> dict[str, Any]:
    """Return what a process wrote when it became ready."""
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def _by_name(pids: dict[str, Any]) -> dict[str, int]:
    names = {"aws": "embedded AWS"}
    named: dict[str, int] = {}
    for role, pid in pids.items():
        if isinstance(pid, list):
            named |= {f"{role} {number}": one for number, one in enumerate(pid, 1)}
        else:
            named[names.get(role, role)] = pid
    return named
