"""Selects the queue of each message: interactive within the customer's rate, bulk beyond it or if the caller asks."""

from core.aws.sqs import SqsQueue
from server.lanes.rate import InteractiveRate
from server.metrics import LANE_MESSAGES

_WITHIN_RATE = LANE_MESSAGES.labels("interactive", "within_rate")
_BEYOND_RATE = LANE_MESSAGES.labels("bulk", "beyond_rate")
_ASKED = LANE_MESSAGES.labels("bulk", "asked")


class LaneSelector:
    """`bulk` is None in an installation with one lane. The rate is then not used."""

    def __init__(self, interactive: SqsQueue, bulk: SqsQueue | None, rate: InteractiveRate) -> None:
        self._interactive = interactive
        self._bulk = bulk
        self._rate = rate

    def select(self, customer_id: str, *, bulk: bool = False) -> SqsQueue:
        """Return the queue for one message. A caller that asks for `bulk` uses nothing of its customer's rate."""
        if self._bulk is not None:
            if bulk:
                _ASKED.inc()
                return self._bulk
            if not self._rate.take(customer_id):
                _BEYOND_RATE.inc()
                return self._bulk
        _WITHIN_RATE.inc()
        return self._interactive

    async def drain(self) -> None:
        """Wait until no send is in progress."""
        await self._interactive.drain()
        if self._bulk is not None:
            await self._bulk.drain()
