"""Whether a long run cost at its end what it cost at its beginning. Pure."""

from dataclasses import dataclass

from loadtest.million.tenths import Tenths

JUDGED_FROM = 100_000
"""Items. In a shorter run a tenth is too short for its figures to mean anything."""
MOST_CPU_GROWTH = 1.1
MOST_MEMORY_GROWTH = 1.2


@dataclass(frozen=True, slots=True)
class Steadiness:
    passed: bool
    sentences: tuple[str, ...]


def steadiness(tenths: Tenths) -> Steadiness:
    """A long run must be steady, and must have been measured. A short one passes, and says nothing."""
    if tenths.total < JUDGED_FROM:
        return Steadiness(passed=True, sentences=())
    cpu, memory = tenths.growth(), tenths.memory_growth()
    if cpu is None or not memory:
        unknown = (
            "CPU and memory of server and consumers were not measured in every tenth of the run."
        )
        return Steadiness(passed=False, sentences=(unknown,))
    steady = cpu <= MOST_CPU_GROWTH and max(memory.values()) <= MOST_MEMORY_GROWTH
    grown = ", ".join(f"{name} {times:.2f}x" for name, times in sorted(memory.items()))
    return Steadiness(
        passed=steady,
        sentences=(
            f"CPU an item of server and consumers, last tenth to first: {cpu:.2f}x (at most {MOST_CPU_GROWTH}x).",
            f"Memory, last tenth to first: {grown} (at most {MOST_MEMORY_GROWTH}x).",
        ),
    )
