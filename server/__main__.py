"""`python -m server`: the gRPC server.

With `--workers`, this process only supervises the workers and never imports gRPC: gRPC's threads do not survive a fork,
and every child would carry the memory of the parent's imports.
"""

import argparse
import sys

from core.runtime.event_loop_monitor import EventLoopMonitor
from core.runtime.logging import configure_logs
from core.runtime.metrics import serve_metrics
from core.settings import load
from server.settings import ServerSettings
from server.workers import supervisor


def main(arguments: list[str]) -> None:
    options = _parse(arguments)
    settings = load(ServerSettings)
    configure_logs(settings.log_level, settings.log_format, "server")
    if options.workers > 1:
        supervisor.run(settings, options.workers)
    else:
        _run_alone(settings)


def _run_alone(settings: ServerSettings) -> None:
    from server import app  # noqa: PLC0415  loads gRPC

    monitor = EventLoopMonitor()
    try:
        serve_metrics(settings.metrics_host, settings.metrics_port, monitor.alive)
    except OSError as error:
        sys.exit(f"METRICS_PORT: {error}")
    app.run(settings, monitor)


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m server", description="The gRPC server. Settings are environment variables."
    )
    parser.add_argument(
        "--workers",
        type=_at_least_one,
        default=1,
        metavar="N",
        help="processes that share the port and the metrics (default: 1, this one); limits in settings apply to each",
    )
    return parser.parse_args(arguments)


def _at_least_one(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return number


if __name__ == "__main__":
    main(sys.argv[1:])
