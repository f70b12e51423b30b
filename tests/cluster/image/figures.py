"""Measurements of a run, for the reader and for the requests and limits in k8s/."""

from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Figures:
    _measured: list[tuple[str, str]] = field(default_factory=list)

    def add_bytes(self, name: str, count: int) -> None:
        self._measured.append((name, f"{count / 1e6:.0f} MB"))

    def add_seconds(self, name: str, seconds: float) -> None:
        self._measured.append((name, f"{seconds:.1f} s"))

    def add_rate(self, name: str, per_second: float) -> None:
        self._measured.append((name, f"{per_second:.0f}/s"))

    def lines(self) -> Iterator[str]:
        for name, figure in self._measured:
            yield f"{name}: {figure}"
