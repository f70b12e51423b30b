"""`imageservice-loadtest million` from its options to its report."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from loadtest.driver import preparation
from loadtest.driver.execution import executed, exit_code
from loadtest.driver.progress_bar import ProgressBar
from loadtest.driver.report_folder import ReportFolder
from loadtest.driver.surroundings import Surroundings
from loadtest.driver.target import Target
from loadtest.million.aws_access import open_access
from loadtest.million.items import Items
from loadtest.million.run import Run
from loadtest.million.settings import RunSettings
from loadtest.run_report.heading import heading
from loadtest.run_report.record import Cell

_CHANNEL = [
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.max_reconnect_backoff_ms", 5_000),
]


async def million(settings: RunSettings, target: Target, report: Path, console: Console) -> int:
    """The exit code. Raises Cannot."""
    bar, folder = ProgressBar(console), ReportFolder(report)
    await asyncio.to_thread(folder.clear)
    title = await asyncio.to_thread(heading, _title(settings), settings.for_report())
    async with _prepared(settings, target, folder, bar) as (run, system):
        failure = await executed(run.execute(), bar)
    title = replace(title, settings={**title.settings, **system})
    record = run.record(title, failure or "")
    faults = run.proof.faults if run.proven else None
    await asyncio.to_thread(folder.write, record, faults)
    folder.tell(record, f"{record.seconds:.0f} s", bar)
    return exit_code(record, failure)


def _title(settings: RunSettings) -> str:
    requests = settings.requests
    return (
        f"{'A million' if requests == 1_000_000 else f'{requests:,}'} requests, submit to terminal"  # noqa: PLR2004
    )


@asynccontextmanager
async def _prepared(
    settings: RunSettings, target: Target, folder: ReportFolder, bar: ProgressBar
) -> AsyncIterator[tuple[Run, dict[str, Cell]]]:
    """Everything that the run needs, running and connected, and what the report says of it."""
    async with preparation.surroundings(target, folder, bar) as around:
        # The SDK reads its endpoint and credentials nowhere else.
        os.environ.update(around.environment)
        async with (
            preparation.origin(target, folder, bar) as origin,
            preparation.connection(around.address, _CHANNEL) as stub,
            open_access(os.environ) as aws,
        ):
            distinct, customers = settings.distinct_bodies, settings.customers
            run = Run(
                settings=settings,
                items=Items(settings.requests, distinct, customers, origin.urls),
                stub=stub,
                aws=aws,
                sampler=preparation.sampler(target, around, origin),
                metrics=around.metrics,
                bar=bar,
            )
            by_watching = settings.watch or aws is None
            yield run, _system(around, len(origin.urls), by_watching=by_watching)


def _system(around: Surroundings, origins: int, *, by_watching: bool) -> dict[str, Cell]:
    """What was put under load, for the report."""
    endpoints = (url for name, url in os.environ.items() if name.startswith("AWS_ENDPOINT_URL"))
    consumers = sum(name.startswith("consumer") for name in around.pids())
    return {
        "server": around.address,
        "AWS": around.backend or ", ".join(sorted(set(endpoints))) or "by the SDK's configuration",
        "consumers": consumers or "not known",
        "hosts of the origin": origins,
        "ends learnt from": "WatchRequest" if by_watching else "notifications",
    }
