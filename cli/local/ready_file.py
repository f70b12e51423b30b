"""The ready file: addresses, pids and settings of a running local system, for programs."""

import json
import os
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from cli.errors import UsageError


@dataclass(frozen=True, slots=True)
class Running:
    """A system that is ready. The fields are those of the file."""

    address: str
    """host:port of the gRPC server."""
    aws_endpoint: str
    metrics: tuple[str, ...]
    """URLs, the server's first, the indexer's last if there is one."""
    pids: Mapping[str, int | list[int]]
    """"aws", "server" and "indexer" are numbers (no "aws" if the endpoint was given), "consumer" is a list."""
    environment: Mapping[str, str]
    """The settings of server and consumer, for a process that joins the system."""


def write(path: Path, running: Running) -> None:
    """Replace the file atomically. Only its owner can read it, because it contains a key."""
    handle, partial = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(asdict(running), file, indent=2)
            file.write("\n")
        Path(partial).replace(path)
    except BaseException:
        Path(partial).unlink()
        raise


def read_environment(path: Path) -> dict[str, str]:
    """Return the settings in the file. Raises UsageError if it is missing or not a ready file."""
    try:
        environment = json.loads(path.read_text(encoding="utf-8"))["environment"]
        return {str(name): str(value) for name, value in environment.items()}
    except OSError as error:
        raise UsageError(f"--ready-file {path}: {error.strerror}") from None
    except (ValueError, LookupError, TypeError, AttributeError):
        raise UsageError(
            f"--ready-file {path}: not a file that `imageservice up --ready-file` wrote"
        ) from None


def remove(path: Path) -> None:
    with suppress(FileNotFoundError):
        path.unlink()
