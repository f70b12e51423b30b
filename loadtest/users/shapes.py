"""How many users there are, and when a run is over."""

import logging
from argparse import Namespace
from typing import ClassVar, Protocol

from locust import LoadTestShape
from locust.runners import STATE_RUNNING, Runner

from loadtest.users.options import BadOption, Options, given_options
from loadtest.users.target import target

OPEN_USERS = 100
"""Calls of an open loop that are under way at most, unless --users says otherwise."""

logger = logging.getLogger(__name__)

Tick = tuple[int, float]


class Bounded(Protocol):
    def made_all(self) -> bool:
        """Whether every call of a bounded run was made and has ended."""


class ServiceShape(LoadTestShape):
    """--users of them until --run-time is over, or `run` says that --requests were made."""

    abstract = True
    use_common_options = True
    run: ClassVar[Bounded]
    interrupted: ClassVar[bool] = False
    """Somebody wants the run to end now."""

    def rate(self, given: Namespace) -> float:
        """Calls a second; 0 is a closed loop."""
        raise NotImplementedError

    def spawn_rate(self, given: Namespace) -> float:
        raise NotImplementedError

    def users(self, given: Namespace) -> int:
        return given.num_users or 1

    def tick(self) -> Tick | None:
        runner = self._runner
        given = given_options(runner.environment)
        if runner.state != STATE_RUNNING and (fault := self.fault(given)):
            logger.error(fault)
            return None
        if self._over(given):
            # Ends the workers' users first, so that nothing they measured comes too late to count.
            runner.stop()
            return None
        return self.users(given), self.spawn_rate(given)

    def fault(self, given: Namespace) -> str | None:
        """Why no run can begin with these options."""
        if not target(given.host or self._runner.environment.host or ""):
            return "which server? --host HOST:PORT"
        try:
            Options.of(given)
        except BadOption as error:
            return str(error)
        return None

    @property
    def _runner(self) -> Runner:
        if self.runner is None:
            raise TypeError("locust sets a shape's runner before the first tick")
        return self.runner

    def _over(self, given: Namespace) -> bool:
        if self.interrupted:
            return True
        if given.run_time and self.get_run_time() >= given.run_time:
            return True
        return self._runner.state == STATE_RUNNING and self.run.made_all()


class ClosedLoop(ServiceShape):
    """Each user calls again once it is answered; --spawn-rate of them begin each second."""

    def rate(self, given: Namespace) -> float:  # noqa: ARG002  there is none
        return 0.0

    def spawn_rate(self, given: Namespace) -> float:
        return given.spawn_rate or self.users(given)


class OpenLoop(ServiceShape):
    """Calls arrive at --rate, whatever the service makes of the earlier ones. All users begin at once."""

    def rate(self, given: Namespace) -> float:
        return float(given.rate)

    def spawn_rate(self, given: Namespace) -> float:
        return self.users(given)

    def users(self, given: Namespace) -> int:
        return given.num_users or OPEN_USERS

    def fault(self, given: Namespace) -> str | None:
        return super().fault(given) or (None if given.rate else "an open loop needs a --rate")


class ByRate(ServiceShape):
    """An open loop where a --rate is given, on the command line or the page; otherwise a closed one.

    Abstract, so that locust's picker offers the two loops alone.
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
