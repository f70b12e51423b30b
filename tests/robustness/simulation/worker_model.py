"""What a worker may hold and receive at any time, and how long it may take to stop."""

from typing import Any

from consumer.worker.app import WorkerApp
from core.aws.batch import MAX_BATCH
from core.resilience.circuit_breaker import BreakerState
from core.resilience.fair_share import FairShare
from robustness.simulation.history import History
from robustness.simulation.loop import Process

# Poller.run: receive_wait, drain_grace and 15 s. Clients: 5 s for the last batches, here after those of the queue.
_STOP_MARGIN_S = 15.0 + 10.0


class WorkerModel:
    """Checks one worker of a simulation. `strict`: nothing disturbs its heartbeat, and no pause its stop."""

    def __init__(
        self, process: Process, app: WorkerApp, history: History, settings: Any, *, strict: bool
    ) -> None:
        self._process = process
        self._app = app
        self._history = history
        self._settings = settings
        self._strict = strict
        self._stopped_at: float | None = None
        places = FairShare(settings.concurrency)
        # A poll without slots may receive a batch that is sent again.
        lanes = len(app.queue.lanes)
        self._most_held = places.places + places.reserve + MAX_BATCH * lanes
        # A poll of another lane may have begun before the outage, and end during the trial.
        self._most_tried = 1 + MAX_BATCH * (lanes - 1)

    @property
    def running(self) -> bool:
        return not self._process.stopped

    @property
    def stopping(self) -> bool:
        return self._stopped_at is not None

    def stop(self) -> None:
        """Send SIGTERM."""
        self._stopped_at = self._history.clock()
        self._process.call(self._app.poller.stop)

    def check(self) -> None:
        """Check what holds at every moment."""
        held, runner = len(self._app.queue.held), self._app.poller._runner
        if held > self._most_held:
            self._history.violate(f"{self._process.name} holds {held} messages")
        if runner._breaker.state is BreakerState.HALF_OPEN and held > self._most_tried:
            self._history.violate(f"{self._process.name} tries {held} messages in an outage")

    def check_receive(self, message_id: str) -> None:
        """Check that SQS does not deliver a message that this worker holds: its heartbeat keeps it invisible."""
        held = {
            receipt.partition("/")[0] for each in self._app.queue.held for receipt in each.receipts
        }
        if self._strict and self.running and message_id in held:
            self._history.violate(f"{self._process.name} let {message_id} become visible")

    def check_end(self) -> None:
        """Check a worker that has stopped: in time, and without a message."""
        if not self._strict:
            return
        if held := self._app.queue.held:
            self._history.violate(f"{self._process.name} stopped with {held}")
        limit = self._settings.receive_wait_s + self._settings.drain_grace_s + _STOP_MARGIN_S
        if self._stopped_at is None or self._history.clock() - self._stopped_at > limit:
            self._history.violate(f"{self._process.name} took longer than {limit} s to stop")
