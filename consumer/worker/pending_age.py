"""How long the requests that pass through this process have been PENDING. Pure.

The age of a message begins anew each time that it is given back; this one does not.
"""

from collections.abc import Iterable
from dataclasses import dataclass

WINDOW_MS = 60_000


@dataclass(frozen=True, slots=True)
class PendingAge:
    """The oldest of what was seen in the minute of `window`, and in the one `before`.

    Times are milliseconds since the epoch, and 0 where nothing is known. Frozen, so that another thread may read it.
    """

    window: int = 0
    oldest: int = 0
    before: int = 0

    def saw(self, pending_since: int, now: int) -> "PendingAge":
        """After a request was here that is PENDING since then."""
        turned = self._turned(now)
        return PendingAge(turned.window, _earlier(turned.oldest, pending_since), turned.before)

    def seconds(self, now: int, held: Iterable[int] = ()) -> float:
        """Age of the oldest that was seen within the last minute, or at most two, or is `held`; 0 where none is."""
        turned = self._turned(now)
        since = _earlier(turned.oldest, turned.before)
        for pending_since in held:
            since = _earlier(since, pending_since)
        return max(0.0, (now - since) / 1000) if since else 0.0

    def _turned(self, now: int) -> "PendingAge":
        window = now // WINDOW_MS
        if window <= self.window:
            return self
        return PendingAge(window, 0, self.oldest if window == self.window + 1 else 0)


def _earlier(one: int, other: int) -> int:
    return min(one, other) if one and other else one or other
