"""The entry point for locust: load on a running server, from the command line or the web page of locust.

    locust -f loadtest/locustfile.py --host 127.0.0.1:50051 --origin http://127.0.0.1:8000
    locust -f loadtest/locustfile.py --host … --headless --users 50 --run-time 60s UnarySubmit Status
    locust -f loadtest/locustfile.py --host … --headless --rate 500 --run-time 60s --report FOLDER BulkSubmit

Locust offers the classes that are imported here. See docs/loadtest.md.
"""

import logging
import sys
from typing import Any

from grpc.experimental.gevent import init_gevent
from locust import events
from locust.env import Environment
from locust.runners import WorkerRunner

from loadtest.users.bulk_submit import BulkSubmit
from loadtest.users.callers import Status, UnarySubmit, Watch
from loadtest.users.options import BadOption, Options, add_options, given_options
from loadtest.users.run import Run
from loadtest.users.shapes import ByRate, ClosedLoop, OpenLoop, ServiceShape, end_on_signals

__all__ = ["BulkSubmit", "ClosedLoop", "OpenLoop", "Status", "UnarySubmit", "Watch"]


def _prepare(environment: Environment, **_: Any) -> None:
    """Initialise after locust has forked its workers, because gRPC does not support fork."""
    init_gevent()
    given = given_options(environment)
    if not given.class_picker:
        shape = ByRate()
        shape.runner = environment.runner
        environment.shape_class = shape
    ServiceShape.run = Run(environment)
    if not isinstance(environment.runner, WorkerRunner):
        _check(environment)
        if given.headless or given.autostart:
            end_on_signals()


def _check(environment: Environment) -> None:
    """Exit if the command line is invalid. With the web page the shape reports the error."""
    given, shape = given_options(environment), environment.shape_class
    try:
        urls = Options.of(given).urls
    except BadOption as error:
        sys.stderr.write(f"locust: {error}\n")
        sys.exit(2)
    if given.headless and isinstance(shape, ByRate) and (fault := shape.fault(given)):
        sys.stderr.write(f"locust: {fault}\n")
        sys.exit(2)
    if urls.unresolvable:
        logging.getLogger(__name__).warning(
            "without --origin no image can be fetched: requests are acknowledged and then FAIL with DNS_FAILED"
        )


events.init_command_line_parser.add_listener(add_options)
events.init.add_listener(_prepare)
