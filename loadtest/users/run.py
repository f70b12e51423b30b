"""A run as locust's events tell it: what all its processes must know, and what each of them measured."""

import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import gevent
from locust.env import Environment
from locust.runners import MasterRunner, Runner, WorkerRunner

from loadtest.run_report.processes import ProcessSampler
from loadtest.users.arrivals import Share
from loadtest.users.load import Load
from loadtest.users.options import Options, given_options
from loadtest.users.outcomes import Outcomes
from loadtest.users.service_user import ServiceUser
from loadtest.users.shapes import ServiceShape

MESSAGE = "imageservice_outcomes"
"""From a worker to the master, when its part of a run ends; during the run they go with locust's own reports."""

THROUGH = "imageservice_through"
"""In those reports: that the worker has made its share of --requests."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What the master tells its workers, among the options."""

    started: float
    """Seconds since 1970."""
    processes: int
    rate: float


class Run:
    """The run of this process, whatever part it has: all of it, a worker's, or the master's, who only collects."""

    def __init__(self, environment: Environment, finished: Callable[["Run"], None]) -> None:
        self._environment = environment
        self._finished = finished
        self._sampling: gevent.Greenlet | None = None
        self._load: Load | None = None
        self._through: set[str] = set()
        self.outcomes = Outcomes()
        self.plan: Plan | None = None
        self.seconds = 0.0
        self._listen()

    def _listen(self) -> None:
        events, runner = self._environment.events, self._runner
        events.test_start.add_listener(self.on_start)
        events.test_stopping.add_listener(self.on_stopping)
        events.test_stop.add_listener(self.on_stop)
        events.request.add_listener(self.on_request)
        if isinstance(runner, WorkerRunner):
            events.report_to_master.add_listener(self.on_report_to_master)
        if isinstance(runner, MasterRunner):
            events.worker_report.add_listener(self.on_worker_report)
            runner.register_message(MESSAGE, self.on_message)

    def on_start(self, environment: Environment, **_: Any) -> None:
        given = given_options(environment)
        runner = self._runner
        if not isinstance(runner, WorkerRunner):
            given.plan = asdict(self._planned())
        self.plan = plan = Plan(**given.plan)
        self.outcomes = Outcomes()
        self._through.clear()
        if not isinstance(runner, MasterRunner):
            given.rate = plan.rate
            index = max(0, getattr(runner, "worker_index", 0)) % plan.processes
            share = Share(index, plan.processes)
            ServiceUser.load = self._load = Load.begin(
                environment.host or "", Options.of(given), share
            )
        self._sampling = gevent.spawn(self._sample)

    def on_stopping(self, **_: Any) -> None:
        """Before the users end, who take no more then."""
        if self._load is not None:
            self.outcomes.unsent += self._load.arrivals.unsent

    def on_stop(self, **_: Any) -> None:
        if self.plan is None:
            return
        self.seconds = time.time() - self.plan.started
        if self._sampling is not None:
            self._sampling.kill()
        if self._load is not None:
            self._load.connections.close()
            self._load = None
        if isinstance(self._runner, WorkerRunner):
            self._runner.send_message(MESSAGE, self.outcomes.take())
        else:
            self._finished(self)

    def on_request(
        self, name: str, response_time: float, exception: Exception | None = None, **_: Any
    ) -> None:
        """Listens to whatever calls locust is told of; other exceptions than ours count by their kind."""
        if self.plan is None:
            return
        reason = "" if exception is None else getattr(exception, "reason", type(exception).__name__)
        self.outcomes.add(time.time() - self.plan.started, name, response_time, reason)

    def on_report_to_master(self, data: dict[str, Any], **_: Any) -> None:
        data[MESSAGE] = self.outcomes.take()
        data[THROUGH] = self.made_all()

    def on_worker_report(self, client_id: str, data: dict[str, Any], **_: Any) -> None:
        if MESSAGE in data:
            self.outcomes.merge(data[MESSAGE])
        if data.get(THROUGH):
            self._through.add(client_id)

    def made_all(self) -> bool:
        """Whether every call of a bounded run was made and has ended: here, or at all workers."""
        if self._load is not None:
            return self._load.arrivals.exhausted and not self._runner.user_count
        return self.plan is not None and len(self._through) >= self.plan.processes

    def on_message(self, msg: Any, **_: Any) -> None:
        self.outcomes.merge(msg.data)

    def _planned(self) -> Plan:
        given, shape = given_options(self._environment), self._environment.shape_class
        rate = shape.rate(given) if isinstance(shape, ServiceShape) else given.rate
        return Plan(time.time(), max(1, getattr(self._runner, "worker_count", 1)), rate)

    def _sample(self) -> None:
        """This process's memory and CPU, each second."""
        index = self._runner.worker_index if isinstance(self._runner, WorkerRunner) else None
        name = "locust" if index is None else f"locust worker {index}"
        sampler = ProcessSampler(lambda: {name: os.getpid()})
        while self.plan is not None:
            for sampled, sample in sampler.sample().items():
                self.outcomes.add_process(time.time() - self.plan.started, sampled, sample)
            gevent.sleep(1)

    @property
    def _runner(self) -> Runner:
        if self._environment.runner is None:
            raise TypeError("locust makes its runner before the init event")
        return self._environment.runner
