"""Files of NAME=value lines, as kustomize's generators read them."""

import os
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from cli.errors import CommandFailed


@dataclass(frozen=True, slots=True)
class EnvFile:
    """`mode` is the file's permissions."""

    path: Path
    values: Mapping[str, str]
    mode: int


def read(path: Path) -> dict[str, str]:
    """The values of a file; comments and empty lines are passed over. Raises OSError."""
    lines = (line.strip() for line in path.read_text(encoding="utf-8").splitlines())
    pairs = (line.partition("=") for line in lines if line and not line.startswith("#"))
    return {name: value for name, _, value in pairs}


def write(*files: EnvFile) -> None:
    """Write all of them or none. Raises OSError, and CommandFailed for a value that a line cannot hold.

    Each is made anew beside its place and moved there: nobody reads half of it, nor a secret in a file that was open to
    others.
    """
    with ExitStack() as unmoved:
        fresh = [_made(file, unmoved) for file in files]
        for made, file in zip(fresh, files, strict=True):
            made.replace(file.path)


def _made(file: EnvFile, unmoved: ExitStack) -> Path:
    content = "".join(f"{name}={_line(name, value)}\n" for name, value in file.values.items())
    # Under a name that git ignores, like that of the file itself, and readable by its owner alone.
    handle, name = tempfile.mkstemp(prefix=".", suffix=".env", dir=file.path.parent)
    made = Path(name)
    unmoved.callback(made.unlink, missing_ok=True)
    with os.fdopen(handle, "w", encoding="utf-8") as out:
        out.write(content)
    made.chmod(file.mode)
    return made


def _line(name: str, value: str) -> str:
    # A second line would be another variable, whose value kustomize takes from its own environment.
    if not value.isprintable() or value != value.strip():
        raise CommandFailed(f"{name} has a line break, a control character or space at an end")
    return value
