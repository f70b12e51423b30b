"""When to go on after one of our own dependencies failed. Pure."""

from dataclasses import dataclass

FIRST_PROBE_S = 1.0
LONGEST_PROBE_S = 60.0


@dataclass(frozen=True, slots=True)
class Breaker:
    """Closed: receive. Open: hold nothing, then probe with one message after `probe_delay` seconds."""

    open: bool = False
    probe_delay: float = FIRST_PROBE_S

    def tripped(self) -> "Breaker":
        """Many messages meet the same outage: those after the first change nothing."""
        return self if self.open else Breaker(open=True)

    def probe_failed(self) -> "Breaker":
        return Breaker(open=True, probe_delay=min(LONGEST_PROBE_S, self.probe_delay * 2))

    def probe_succeeded(self) -> "Breaker":
        return Breaker()
