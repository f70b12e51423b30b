"""The files that a run leaves."""

import logging
from pathlib import Path

from locust.env import Environment

from loadtest.run_report.heading import heading
from loadtest.run_report.record import Cell
from loadtest.users.options import given_options
from loadtest.users.run import Run

logger = logging.getLogger(__name__)

_TOLD = (
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


def write(run: Run, environment: Environment) -> None:
    """Into the folder that --report names, in place of an earlier run's; nothing without one."""
    given = given_options(environment)
    if not given.report:
        return
    folder = Path(given.report)
    folder.mkdir(parents=True, exist_ok=True)
    record = run.outcomes.record(heading("Locust", _settings(environment)), run.seconds)
    path = folder / "locust.json"
    record.to_json(path)
    logger.info("report: %s; draw it with: imageservice-loadtest render %s", path, path)


def _settings(environment: Environment) -> dict[str, Cell]:
    given = given_options(environment)
    classes = " ".join(sorted(user.__name__ for user in environment.user_classes))
    told = {name.removeprefix("num_"): getattr(given, name) for name in _TOLD}
    return {"server": environment.host or "", "user classes": classes, **told}
