"""A run by the events of locust: distributes the plan, collects the outcomes, and writes the report."""

import logging
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import gevent
from locust.env import Environment
from locust.runners import MasterRunner, Runner, WorkerRunner

from loadtest.run_report.heading import heading
from loadtest.run_report.processes import ProcessSampler
from loadtest.run_report.record import Cell
from loadtest.users.arrivals import Share
from loadtest.users.load import Load
from loadtest.users.options import Options, given_options
from loadtest.users.outcomes import Outcomes
from loadtest.users.service_user import ServiceUser
from loadtest.users.shapes import ServiceShape

MESSAGE = "imageservice_outcomes"
"""A message from a worker to the master at the end of its part. During a run the reports of locust carry it."""

ALL_MADE = "imageservice_all_made"
"""A key in those reports: the worker has made its share of --requests."""

REPORT = "locust.json"

_REPORTED = (
    "num_users",
    "rate",
    "requests",
    "origin",
    "image_url",
    "customers",
    "connections",
    "bulk_window",
    "bulk_images",
    "watch_ids",
)
"""Options that the report shows."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Plan:
    """The values that the master sends to its workers with the options."""

    started: float
    """Seconds since 1970."""
    processes: int
    rate: float


class Run:
    """The part of this process in a run: all of it, or that of a worker, or that of the master, which only collects."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._sampling: gevent.Greenlet | None = None
        self._load: Load | None = None
        self._all_made: set[str] = set()
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
        self._all_made.clear()
        if not isinstance(runner, MasterRunner):
            given.rate = plan.rate
            index = max(0, getattr(runner, "worker_index", 0)) % plan.processes
            share = Share(index, plan.processes)
            ServiceUser.load = self._load = Load.begin(
                environment.host or "", Options.of(given), share
            )
        self._sampling = gevent.spawn(self._sample)

    def on_stopping(self, **_: Any) -> None:
        """Called before the users end. Arrivals are no longer taken afterwards."""
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
            self._write_report()

    def on_request(
        self, name: str, response_time: float, exception: Exception | None = None, **_: Any
    ) -> None:
        """Count a call. An exception without a reason counts by its type."""
        if self.plan is None:
            return
        reason = "" if exception is None else getattr(exception, "reason", type(exception).__name__)
        self.outcomes.add(time.time() - self.plan.started, name, response_time, reason)

    def on_report_to_master(self, data: dict[str, Any], **_: Any) -> None:
        data[MESSAGE] = self.outcomes.take()
        data[ALL_MADE] = self.all_calls_made()

    def on_worker_report(self, client_id: str, data: dict[str, Any], **_: Any) -> None:
        if MESSAGE in data:
            self.outcomes.merge(data[MESSAGE])
        if data.get(ALL_MADE):
            self._all_made.add(client_id)

    def all_calls_made(self) -> bool:
        """As Bounded; on the master, for all workers."""
        if self._load is not None:
            return self._load.arrivals.exhausted and not self._runner.user_count
        return self.plan is not None and len(self._all_made) >= self.plan.processes

    def on_message(self, msg: Any, **_: Any) -> None:
        self.outcomes.merge(msg.data)

    def _planned(self) -> Plan:
        given, shape = given_options(self._environment), self._environment.shape_class
        rate = shape.rate(given) if isinstance(shape, ServiceShape) else given.rate
        return Plan(time.time(), max(1, getattr(self._runner, "worker_count", 1)), rate)

    def _write_report(self) -> None:
        """Write the record into the folder of --report, if given."""
        given = given_options(self._environment)
        if not given.report:
            return
        path = Path(given.report) / REPORT
        path.parent.mkdir(parents=True, exist_ok=True)
        record = self.outcomes.record(heading("Locust", self._reported_settings()), self.seconds)
        record.to_json(path)
        _log.info("report: %s; draw it with: imageservice-loadtest render %s", path, path)

    def _reported_settings(self) -> dict[str, Cell]:
        given = given_options(self._environment)
        classes = " ".join(sorted(user.__name__ for user in self._environment.user_classes))
        options = {name.removeprefix("num_"): getattr(given, name) for name in _REPORTED}
        return {"server": self._environment.host or "", "user classes": classes, **options}

    def _sample(self) -> None:
        """Sample memory and CPU of this process each second."""
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
            raise TypeError("locust creates its runner before the init event")
        return self._environment.runner
