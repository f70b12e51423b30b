"""Locust's entry: load on a running server, by locust's command line or its page.

    locust -f loadtest/locustfile.py --host 127.0.0.1:50051 --origin http://127.0.0.1:8000
    locust -f loadtest/locustfile.py --host … --headless --users 50 --run-time 60s UnarySubmit Status
    locust -f loadtest/locustfile.py --host … --headless --rate 500 --run-time 60s --report FOLDER BulkSubmit

A class that is named here is a user that locust offers; docs/loadtest.md tells the rest.
"""

import logging
import sys
from typing import Any

from grpc.experimental.gevent import init_gevent
from locust import events
from locust.env import Environment
from locust.runners import WorkerRunner

from loadtest.users import run_files
from loadtest.users.bulk_submit import BulkSubmit
from loadtest.users.interruption import end_on_signals
from loadtest.users.options import BadOption, Options, add_options, given_options
from loadtest.users.run import Run
from loadtest.users.shapes import ByRate, ClosedLoop, OpenLoop, ServiceShape
from loadtest.users.status import Status
from loadtest.users.unary_submit import UnarySubmit
from loadtest.users.watch import Watch

__all__ = ["BulkSubmit", "ClosedLoop", "OpenLoop", "Status", "UnarySubmit", "Watch"]


def _prepare(environment: Environment, **_: Any) -> None:
    """After locust has forked its workers: gRPC survives no fork."""
    init_gevent()
    given = given_options(environment)
    if not given.class_picker:
        shape = ByRate()
        shape.runner = environment.runner
        environment.shape_class = shape
    ServiceShape.run = Run(environment, lambda run: run_files.write(run, environment))
    if not isinstance(environment.runner, WorkerRunner):
        _check(environment)
        if given.headless or given.autostart:
            end_on_signals()


def _check(environment: Environment) -> None:
    """A faulty command line ends locust here; on the page the shape says what is wrong."""
    given, shape = given_options(environment), environment.shape_class
    try:
        urls = Options.of(given).urls
    except BadOption as error:
        sys.stderr.write(f"locust: {error}\n")
        sys.exit(2)
    if given.headless and isinstance(shape, ByRate) and (fault := shape.fault(given)):
        sys.stderr.write(f"locust: {fault}\n")
        sys.exit(2)
    if urls.lead_nowhere:
        logging.getLogger(__name__).warning(
            "without --origin no picture can be fetched: requests will be acknowledged and then FAIL with DNS_FAILED"
        )


events.init_command_line_parser.add_listener(add_options)
events.init.add_listener(_prepare)
