"""Whether a dependency that one can do without is worth a try."""

import time
from collections.abc import Callable

FIRST_PAUSE_S = 0.25
"""Short, because a stall of a moment is by far the likeliest reason."""
LONGEST_PAUSE_S = 30.0


class CircuitBreaker:
    """Lets all calls pass until one fails; then a single one after each pause, until that succeeds.

    A pause is twice as long as the one before. So what hangs costs its time-out to one caller now and then, and
    nothing to the others. `clock` tells seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._pause = 0.0
        self._until = 0.0

    @property
    def broken(self) -> bool:
        return self._pause > 0

    @property
    def wait(self) -> float:
        """Seconds until the next try; 0 or less where nothing is to be waited for."""
        return self._until - self._clock() if self.broken else 0.0

    @property
    def passable(self) -> bool:
        """Whether `enter` would let a call pass now."""
        return not self.broken or self._clock() >= self._until

    def enter(self) -> bool:
        """Whether the caller may call. Where the circuit is broken, this call is the one that tries."""
        if not self.passable:
            return False
        if self.broken:
            self._pause = min(self._pause * 2, LONGEST_PAUSE_S)
            self._until = self._clock() + self._pause
        return True

    def succeeded(self) -> None:
        self._pause = 0.0

    def failed(self) -> None:
        # Many calls meet one outage: those after the first change nothing.
        if not self.broken:
            self._pause = FIRST_PAUSE_S
            self._until = self._clock() + self._pause
