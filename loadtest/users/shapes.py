"""The number of users, and the end of a run."""

import logging
import signal
from argparse import Namespace
from typing import ClassVar, Protocol

import gevent
from locust import LoadTestShape
from locust.runners import STATE_RUNNING, Runner

from loadtest.users.load import target
from loadtest.users.options import BadOption, Options, given_options

OPEN_USERS = 100
"""Default of --users in an open loop: the maximum of calls in flight."""

_log = logging.getLogger(__name__)

Tick = tuple[int, float]


class Bounded(Protocol):
    def all_calls_made(self) -> bool:
        """Return whether a run with --requests has made all calls, and all have ended."""


class ServiceShape(LoadTestShape):
    """Runs --users users until --run-time has passed, or --requests were made."""

    abstract = True
    use_common_options = True
    run: ClassVar[Bounded]
    interrupted: ClassVar[bool] = False
    """Set by SIGINT and SIGTERM."""

    def rate(self, given: Namespace) -> float:
        """Return the calls per second; 0 is a closed loop."""
        raise NotImplementedError

    def spawn_rate(self, given: Namespace) -> float:
        raise NotImplementedError

    def users(self, given: Namespace) -> int:
        return given.num_users or 1

    def tick(self) -> Tick | None:
        runner = self._runner
        given = given_options(runner.environment)
        if runner.state != STATE_RUNNING and (fault := self.fault(given)):
            _log.error(fault)
            return None
        if self._over(given):
            # Stop the users of the workers first, so that all their measurements arrive in time.
            runner.stop()
            return None
        return self.users(given), self.spawn_rate(given)

    def fault(self, given: Namespace) -> str | None:
        """Return why a run cannot start with these options."""
        if not target(given.host or self._runner.environment.host or ""):
            return "--host HOST:PORT is required"
        try:
            Options.of(given)
        except BadOption as error:
            return str(error)
        return None

    @property
    def _runner(self) -> Runner:
        if self.runner is None:
            raise TypeError("locust sets the runner of a shape before its first tick")
        return self.runner

    def _over(self, given: Namespace) -> bool:
        if self.interrupted:
            return True
        if given.run_time and self.get_run_time() >= given.run_time:
            return True
        return self._runner.state == STATE_RUNNING and self.run.all_calls_made()


class ClosedLoop(ServiceShape):
    """Each user calls again after its response; --spawn-rate users start per second."""

    def rate(self, given: Namespace) -> float:  # noqa: ARG002  a closed loop has no rate
        return 0.0

    def spawn_rate(self, given: Namespace) -> float:
        return given.spawn_rate or self.users(given)


class OpenLoop(ServiceShape):
    """Calls arrive at --rate, whatever the outcome of earlier calls. All users start at once."""

    def rate(self, given: Namespace) -> float:
        return float(given.rate)

    def spawn_rate(self, given: Namespace) -> float:
        return self.users(given)

    def users(self, given: Namespace) -> int:
        return given.num_users or OPEN_USERS

    def fault(self, given: Namespace) -> str | None:
        return super().fault(given) or (None if given.rate else "an open loop requires --rate")


class ByRate(ServiceShape):
    """An open loop with --rate, otherwise a closed loop.

    Abstract, so that the class picker of locust offers only the two loops.
    """

    abstract = True

    def __init__(self) -> None:
        super().__init__()
        self._closed, self._open = ClosedLoop(), OpenLoop()

    def rate(self, given: Namespace) -> float:
        return self._loop(given).rate(given)

    def spawn_rate(self, given: Namespace) -> float:
        return self._loop(given).spawn_rate(given)

    def users(self, given: Namespace) -> int:
        return self._loop(given).users(given)

    def _loop(self, given: Namespace) -> ServiceShape:
        return self._open if given.rate else self._closed


_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def end_on_signals() -> None:
    """Let SIGINT and SIGTERM end a run like --run-time does, with a report.

    Locust has no handler while a shape runs headless, and would not stop its workers. The second signal ends the
    process at once. An ignored signal, such as Ctrl-C for a background job of a shell, stays ignored.
    """
    for number in _SIGNALS:
        if signal.getsignal(number) != signal.SIG_IGN:
            gevent.signal_handler(number, _interrupt)


def _interrupt() -> None:
    ServiceShape.interrupted = True
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_DFL)
