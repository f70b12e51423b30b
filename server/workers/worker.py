"""One of several server processes on one port. server/workers/supervisor.py starts it."""

import argparse
import os
import shutil
import sys

import structlog
from prometheus_client import values

from core.runtime.logging import configure_logs
from core.settings import load
from server.parent_watch import ParentWatch
from server.settings import ServerSettings

METRICS_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""prometheus_client's own variable: the folder in which workers count."""

_LAST_WORDS_S = 5.0
"""Time beyond the drain's own before an orphaned worker that still runs is ended."""


def main(arguments: list[str]) -> None:
    options = _parse(arguments)
    # The client names files by pid. By the worker's number, who takes a dead worker's place counts on from where it
    # was: sums never fall, and there are never more files than workers.
    values.ValueClass = values.MultiProcessValue(lambda: options.number)  # type: ignore[no-untyped-call]
    # A metric without labels is bound to its file when it is made, which is when its module is imported; those of
    # core.runtime.metrics, which is here already, have labels, and are bound when they are first used.
    from core.runtime.event_loop_monitor import EventLoopMonitor  # noqa: PLC0415
    from server.app import run  # noqa: PLC0415

    settings = load(ServerSettings)
    configure_logs(settings.log_level, settings.log_format, "server")
    structlog.contextvars.bind_contextvars(worker=options.number)
    parent = ParentWatch(options.tether)
    parent.watch(settings.drain_delay_s + settings.drain_grace_s + _LAST_WORDS_S)
    try:
        run(settings, EventLoopMonitor(), parent)
    finally:
        if parent.cut:
            shutil.rmtree(os.environ[METRICS_FOLDER], ignore_errors=True)


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m server.workers.worker")
    parser.add_argument("--number", type=int, required=True, help="from 1")
    parser.add_argument("--tether", type=int, required=True, metavar="FD")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main(sys.argv[1:])
