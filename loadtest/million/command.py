"""`imageservice-loadtest million`, from its options to its report."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from loadtest.driver import preparation
from loadtest.driver.execution import execute, exit_code
from loadtest.driver.progress_bar import ProgressBar
from loadtest.driver.report_folder import ReportFolder
from loadtest.driver.target import SystemInfo, Target
from loadtest.million.aws import open_access
from loadtest.million.items import Items
from loadtest.million.run import Run, RunSettings
from loadtest.run_report.heading import heading
from loadtest.run_report.record import Cell

_MILLION = 1_000_000
_CHANNEL = [
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.max_reconnect_backoff_ms", 5_000),
]


async def million(settings: RunSettings, target: Target, report: Path, console: Console) -> int:
    """Run the load test and return the exit code. Raises CannotStart."""
    bar, folder = ProgressBar(console), ReportFolder(report)
    await asyncio.to_thread(folder.clear)
    head = await asyncio.to_thread(heading, _title(settings.requests), settings.for_report())
    async with _prepared(settings, target, folder, bar) as (run, system):
        failure = await execute(run.execute(), bar)
    head = replace(head, settings={**head.settings, **system})
    record = run.record(head, failure or "")
    faults = run.verification.faults if run.verified else None
    await asyncio.to_thread(folder.write, record, faults)
    folder.print_summary(record, f"{record.seconds:.0f} s", bar)
    return exit_code(record, failure)


def _title(requests: int) -> str:
    count = "A million" if requests == _MILLION else f"{requests:,}"
    return f"{count} requests, submit to terminal"


@asynccontextmanager
async def _prepared(
    settings: RunSettings, target: Target, folder: ReportFolder, bar: ProgressBar
) -> AsyncIterator[tuple[Run, dict[str, Cell]]]:
    """Start and connect everything, and yield the run and a description of the system for the report."""
    async with preparation.running_system(target, folder, bar) as system:
        # The SDK reads its endpoint and credentials only from the environment.
        os.environ.update(system.environment)
        async with (
            preparation.origin(target, folder, bar) as origin,
            preparation.connection(system.address, _CHANNEL) as stub,
            open_access(os.environ) as aws,
        ):
            distinct, customers = settings.distinct_bodies, settings.customers
            run = Run(
                settings=settings,
                items=Items(settings.requests, distinct, customers, origin.urls),
                stub=stub,
                aws=aws,
                sampler=preparation.sampler(target, system, origin),
                metrics=system.metrics,
                bar=bar,
            )
            by_watching = settings.watch or aws is None
            yield run, _describe(system, len(origin.urls), by_watching=by_watching)


def _describe(system: SystemInfo, origins: int, *, by_watching: bool) -> dict[str, Cell]:
    endpoints = (url for name, url in os.environ.items() if name.startswith("AWS_ENDPOINT_URL"))
    consumers = sum(name.startswith("consumer") for name in system.pids())
    return {
        "server": system.address,
        "AWS": system.backend or ", ".join(sorted(set(endpoints))) or "by the SDK's configuration",
        "consumers": consumers or "unknown",
        "hosts of the origin": origins,
        "ends reported by": "WatchRequest" if by_watching else "notifications",
    }
