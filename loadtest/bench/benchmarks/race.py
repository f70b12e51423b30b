"""A race: several programs process the same images in turns."""

from collections.abc import Mapping
from dataclasses import dataclass

from loadtest.bench.benchmark import Trial, balanced_order
from loadtest.bench.images.collection import SMALL, Kind
from loadtest.bench.subjects.consumer import Lap, Subject, combine
from loadtest.bench.system.process import BenchFailed

Laps = tuple[Lap, ...]
"""One for each round."""


@dataclass(frozen=True, slots=True)
class Volume:
    """How many images of a kind warm a program up, and how many make a lap."""

    kind: Kind
    warm_up: int
    lap: int

    def total(self, rounds: int) -> int:
        return self.warm_up + rounds * self.lap


def volume(kind: Kind, trial: Trial) -> Volume:
    """Choose laps that take tenths of a second of CPU per turn, so that the start and end of a turn matter little."""
    lap = 1_500 if kind is SMALL else 400
    return Volume(kind, 200, lap // 5 if trial.quick else lap)


async def race(subjects: Mapping[str, Subject], amount: Volume, rounds: int) -> dict[str, Laps]:
    """Return the laps by subject. One subject runs at a time. Raises BenchFailed."""
    for subject in subjects.values():
        await subject.lap(amount.warm_up)
    measured = [await _run_round(subjects, amount.lap) for _ in range(rounds)]
    return {name: tuple(each[name] for each in measured) for name in subjects}


async def _run_round(subjects: Mapping[str, Subject], images: int) -> dict[str, Lap]:
    """Give each subject two turns in balanced order, each with half of the images (an even number)."""
    turns: dict[str, list[Lap]] = {name: [] for name in subjects}
    for name in balanced_order(tuple(subjects)):
        turns[name].append(await subjects[name].lap(images // 2))
    laps = {name: combine(each) for name, each in turns.items()}
    check_same_bytes(laps)
    return laps


def check_same_bytes(laps: Mapping[str, Lap]) -> None:
    """Raise BenchFailed if programs that upload have uploaded different amounts for the same images."""
    stored = {name: lap.stored_bytes for name, lap in laps.items() if lap.stored_bytes}
    if len(set(stored.values())) > 1:
        raise BenchFailed(f"the programs stored different bytes: {stored}")


def cpu(laps: Laps) -> tuple[float, ...]:
    """Return microseconds of CPU per image, by round."""
    return tuple(lap.cpu for lap in laps)
