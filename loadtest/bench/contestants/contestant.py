"""One of two programs that fetch the same photographs: how it is fed, and what each picture costs it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

_US = 1_000_000


@dataclass(frozen=True, slots=True)
class Lap:
    """`cpu_s`: user and system seconds; `seconds`: by the clock."""

    images: int
    cpu_s: float
    seconds: float

    @property
    def cpu(self) -> float:
        """Microseconds of CPU an image."""
        return self.cpu_s / self.images * _US


def together(laps: Sequence[Lap]) -> Lap:
    """As one lap."""
    return Lap(
        images=sum(lap.images for lap in laps),
        cpu_s=sum(lap.cpu_s for lap in laps),
        seconds=sum(lap.seconds for lap in laps),
    )


class Contestant(Protocol):
    async def lap(self, images: int) -> Lap:
        """Take in so many images from the first to the last, idle before and after."""
