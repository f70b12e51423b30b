"""Where all news of items come together: ledger, recorder and window hear of each once."""

import time
from collections.abc import Callable

from loadtest.million.items import Items
from loadtest.million.ledger import Ledger
from loadtest.million.work import Work
from loadtest.run_report.recorder import Recorder

ACKNOWLEDGE, TERMINAL = "acknowledge", "terminal"


class Desk:
    def __init__(self, items: Items, ledger: Ledger, work: Work, recorder: Recorder) -> None:
        self.items = items
        self._ledger = ledger
        self._work = work
        self._recorder = recorder
        self.on_acknowledged: Callable[[int], None] = _nothing
        """Called once for each item, for who has to ask what becomes of it."""
        self.last_sent = 0.0
        """On the monotonic clock."""

    def sent(self) -> None:
        self.last_sent = time.monotonic()
        self._recorder.count("submitted")

    def acknowledged(self, number: int) -> None:
        if self._ledger.acknowledge(number):
            self._recorder.count("acknowledged")
            self._recorder.latency(ACKNOWLEDGE, time.monotonic() - self._ledger.begun(number))
            self._settled(number)
            self.on_acknowledged(number)

    def refused(self, number: int, reason: str) -> None:
        """For good. The reason is counted."""
        self._recorder.error(reason)
        if self._ledger.refuse(number):
            self._settled(number)

    def failed(self, number: int, reason: str, delay: float) -> None:
        """Not this time: it is sent again after `delay` seconds."""
        self._recorder.error(reason)
        self._work.again(number, delay)

    def trouble(self, reason: str) -> None:
        """Something that concerns no single item."""
        self._recorder.error(reason)

    def told(self, request_id: str, revision: int, outcome: str, message: str = "") -> None:
        """`outcome` is COMPLETED or a failure code, `message` an id. Requests of other runs are passed over."""
        number = self.items.number(request_id)
        if number is None or not self._ledger.tell(number, revision, outcome, message):
            return
        self._recorder.count("terminal")
        self._recorder.latency(TERMINAL, time.monotonic() - self._ledger.begun(number))
        if self._ledger.finished(number):
            self._work.leave_window()

    def _settled(self, number: int) -> None:
        if self._ledger.finished(number):
            self._work.leave_window()
        self._work.settled()


def _nothing(number: int) -> None:
    del number
