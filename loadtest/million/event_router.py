"""Passes each event of an item to ledger, recorder and scheduler."""

import time
from collections.abc import Callable

from loadtest.million.items import Items
from loadtest.million.ledger import Ledger
from loadtest.million.scheduler import Scheduler
from loadtest.run_report.recorder import Recorder

ACKNOWLEDGE, TERMINAL = "acknowledge", "terminal"


class EventRouter:
    def __init__(
        self, items: Items, ledger: Ledger, scheduler: Scheduler, recorder: Recorder
    ) -> None:
        self.items = items
        self._ledger = ledger
        self._scheduler = scheduler
        self._recorder = recorder
        self.on_acknowledged: Callable[[int], None] = _ignore
        """Called once for each acknowledged item."""
        self.last_sent = 0.0
        """On the monotonic clock."""

    def sent(self) -> None:
        self.last_sent = time.monotonic()
        self._recorder.count("submitted")

    def acknowledged(self, number: int) -> None:
        if self._ledger.acknowledge(number):
            self._recorder.count("acknowledged")
            self._recorder.latency(ACKNOWLEDGE, time.monotonic() - self._ledger.started(number))
            self._answered(number)
            self.on_acknowledged(number)

    def rejected(self, number: int, reason: str) -> None:
        """Record a permanent error; the item is not sent again."""
        self._recorder.error(reason)
        if self._ledger.reject(number):
            self._answered(number)

    def retry(self, number: int, reason: str, delay: float) -> None:
        """Record a transient error and send the item again after `delay` seconds."""
        self._recorder.error(reason)
        self._scheduler.retry(number, delay)

    def error(self, reason: str) -> None:
        """Record an error that belongs to no single item."""
        self._recorder.error(reason)

    def ended(self, request_id: str, revision: int, outcome: str, message: str = "") -> None:
        """Record the outcome of an item: COMPLETED or a failure code.

        `message` is the id of the message that delivered it. Requests of other runs are ignored.
        """
        number = self.items.number(request_id)
        if number is None or not self._ledger.end(number, revision, outcome, message):
            return
        self._recorder.count("terminal")
        self._recorder.latency(TERMINAL, time.monotonic() - self._ledger.started(number))
        if self._ledger.finished(number):
            self._scheduler.release_slot()

    def _answered(self, number: int) -> None:
        if self._ledger.finished(number):
            self._scheduler.release_slot()
        self._scheduler.item_answered()


def _ignore(number: int) -> None:
    del number
