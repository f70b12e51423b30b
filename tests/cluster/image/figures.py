"""What a run measured: for people, and for the requests and limits in k8s/."""

from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Figures:
    _told: list[tuple[str, str]] = field(default_factory=list)

    def add_bytes(self, what: str, count: int) -> None:
        self._told.append((what, f"{count / 1e6:.0f} MB"))

    def add_seconds(self, what: str, seconds: float) -> None:
        self._told.append((what, f"{seconds:.1f} s"))

    def add_rate(self, what: str, per_second: float) -> None:
        self._told.append((what, f"{per_second:.0f}/s"))

    def lines(self) -> Iterator[str]:
        for what, figure in self._told:
            yield f"{what}: {figure}"
