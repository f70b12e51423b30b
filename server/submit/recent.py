"""Remembers recent submits whose ids the callers have chosen, so that a repeat sends no needless message."""

from core.runtime.loop_bound import LoopBound

COPY_DELAY_S = 60
"""Delay in seconds of a message that is sent because a submit was repeated. Most requests have ended by then."""
_IDS_MAX = 65_536
"""About 10 MB. Beyond that the oldest ids are forgotten, and a repeat sends a copy."""


class RecentSubmits(LoopBound):
    """Ids that were acknowledged within COPY_DELAY_S, and ids whose message could not be sent."""

    def __init__(self, ids_max: int = _IDS_MAX) -> None:
        self._ids_max = ids_max
        self._acknowledged: dict[str, float] = {}
        """By id: the time of its end here, on the clock of the event loop. In this order."""
        self._unsent: dict[str, None] = {}

    def acknowledge(self, request_id: str) -> None:
        """Note that a message of the request is in the queue."""
        now = self._loop.time()
        acknowledged = self._acknowledged
        acknowledged.pop(request_id, None)
        acknowledged[request_id] = now + COPY_DELAY_S
        # Two at a time, so the cost is constant and the number falls.
        for _ in range(2):
            oldest = next(iter(acknowledged))
            if acknowledged[oldest] > now and len(acknowledged) <= self._ids_max:
                break
            del acknowledged[oldest]
        if self._unsent:
            self._unsent.pop(request_id, None)

    def is_acknowledged(self, request_id: str) -> bool:
        ends = self._acknowledged.get(request_id)
        return ends is not None and ends > self._loop.time()

    def fail_to_send(self, request_id: str) -> None:
        """Note that the request has a row, and may have no message."""
        self._unsent[request_id] = None
        if len(self._unsent) > self._ids_max:
            del self._unsent[next(iter(self._unsent))]

    def is_unsent(self, request_id: str) -> bool:
        return request_id in self._unsent
