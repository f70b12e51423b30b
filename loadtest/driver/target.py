"""What a run is aimed at, as its options say."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Target:
    """What is put under load."""

    address: str
    ready_file: Path | None
    up: bool
    consumers: int
    origins: tuple[str, ...]
    """Base URLs; none starts an origin here."""
    hosts: int
    sampled: Mapping[str, int]
    """Further processes of this machine whose CPU and memory are to be shown: ids by name."""
