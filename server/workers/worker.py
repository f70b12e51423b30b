"""One of several server processes on one port. server/workers/supervisor.py starts it."""

import argparse
import os
import shutil
import sys
from functools import partial

from prometheus_client import values

from core.runtime.logging import configure_logs
from core.runtime.parent_watch import ParentWatch
from core.settings import load
from server.settings import ServerSettings

METRICS_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""A variable of prometheus_client: the folder with the workers' metric files."""

_ORPHAN_MARGIN_S = 5.0
"""Seconds after the end of the drain at which a worker without a parent is ended."""


def main(arguments: list[str]) -> None:
    options = _parse(arguments)
    # The client names its files by pid. With the worker number instead, a replacement continues the counters of the
    # dead worker: sums never fall, and there are never more files than workers.
    values.ValueClass = values.MultiProcessValue(lambda: options.number)  # type: ignore[no-untyped-call]
    # A metric without labels opens its file when its module is imported, so these imports follow the line above.
    # The metrics of core.runtime.metrics, imported already, have labels and open their files at first use.
    from core.runtime.event_loop_monitor import EventLoopMonitor  # noqa: PLC0415
    from server.app import run  # noqa: PLC0415

    settings = load(ServerSettings, report_deprecated=False)  # the supervisor reports them
    configure_logs(settings.log_level, settings.log_format, "server", worker=options.number)
    parent = ParentWatch(options.parent_fd)
    parent.start(settings.drain_delay_s + settings.drain_grace_s + _ORPHAN_MARGIN_S)
    run(settings, EventLoopMonitor(), parent, partial(_remove_metrics_of_orphans, parent))


def _remove_metrics_of_orphans(parent: ParentWatch) -> None:
    if parent.parent_gone:
        shutil.rmtree(os.environ[METRICS_FOLDER], ignore_errors=True)


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m server.workers.worker")
    parser.add_argument("--number", type=int, required=True, help="from 1")
    parser.add_argument("--parent-fd", type=int, required=True, metavar="FD")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main(sys.argv[1:])
