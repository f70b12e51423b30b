"""What is around a run: the system's address, its AWS, its metrics and its processes."""

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(slots=True)
class Surroundings:
    """Where everything is: read from the file that `imageservice up --ready-file` writes."""

    address: str
    environment: dict[str, str] = field(default_factory=dict)
    """Settings of server and consumers; they lead to AWS as well."""
    metrics: tuple[str, ...] = ()
    pids: Callable[[], dict[str, int]] = dict
    """Of the processes that run now, by the name that the report gives each."""
    backend: str = ""
    """What its AWS is."""

    @classmethod
    def read(cls, path: Path) -> "Surroundings":
        """Raises OSError, ValueError or KeyError where it is no such file."""
        told = ready(path)
        return cls(
            address=told["address"],
            environment={str(k): str(v) for k, v in told["environment"].items()},
            metrics=tuple(told["metrics"]),
            pids=_Pids(path, _named(told["pids"])),
            backend="embedded AWS" if "aws" in told["pids"] else "",
        )


@dataclass(slots=True)
class _Pids:
    """Read again each time: `imageservice up` writes the file anew when it has replaced a process."""

    path: Path
    last: dict[str, int]
    """Good while there is no file, which is so while a process is being replaced."""

    def __call__(self) -> dict[str, int]:
        with suppress(OSError, ValueError, LookupError):
            self.last = _named(ready(self.path)["pids"])
        return self.last


def ready(path: Path) -> dict[str, Any]:
    """What a process wrote there once it was ready."""
    told: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return told


def _named(pids: dict[str, Any]) -> dict[str, int]:
    names = {"aws": "embedded AWS"}
    named: dict[str, int] = {}
    for role, pid in pids.items():
        if isinstance(pid, list):
            named |= {f"{role} {number}": one for number, one in enumerate(pid, 1)}
        else:
            named[names.get(role, role)] = pid
    return named
