"""When a process that died is started again. Pure."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Restart:
    """Wait `delay` seconds, then start; `deaths` in a row have been counted so far."""

    delay: float
    deaths: int


@dataclass(frozen=True, slots=True)
class RestartPolicy:
    """Exponential backoff from `first` seconds up to `longest`; forgotten after `stable` seconds of life.

    No jitter: the processes of one machine are few, and people watch.
    """

    first: float = 0.5
    longest: float = 30.0
    stable: float = 60.0

    def after(self, deaths: int, lifetime: float) -> Restart:
        """What to do about a process that lived `lifetime` seconds, after `deaths` deaths in a row before."""
        before = 0 if lifetime >= self.stable else deaths
        # The exponent is bounded, as 2.0 ** 1024 overflows.
        delay = min(self.longest, self.first * 2.0 ** min(before, 30))
        return Restart(delay, before + 1)
