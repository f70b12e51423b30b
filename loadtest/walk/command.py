"""`imageservice-loadtest walk`, from its options to its report."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import grpc
from rich.console import Console

from imageservice.v1 import image_service_pb2_grpc as pb_grpc
from loadtest.driver import preparation
from loadtest.driver.execution import CannotStart, execute, exit_code
from loadtest.driver.progress_bar import ProgressBar
from loadtest.driver.report_folder import ReportFolder
from loadtest.driver.target import Target
from loadtest.run_report.heading import heading
from loadtest.walk.items import WalkItems
from loadtest.walk.lists import EVERYTHING, Selection
from loadtest.walk.run import Run, WalkSettings
from loadtest.walk.searches import has_search


async def walk(settings: WalkSettings, target: Target, report: Path, console: Console) -> int:
    """Run the load test and return the exit code. Raises CannotStart."""
    bar, folder = ProgressBar(console), ReportFolder(report)
    await asyncio.to_thread(folder.clear)
    what = "Every list" if settings.only == EVERYTHING else "Some lists"
    title = f"{what} of {settings.customers:,} customers, read while more is submitted"
    head = await asyncio.to_thread(heading, title, settings.for_report())
    async with _prepared(settings, target, folder, bar) as (run, address):
        failure = await execute(_execute(run), bar)
    head = replace(head, settings={**head.settings, "server": address})
    record = run.record(head, failure or "")
    await asyncio.to_thread(folder.write, record, run.verification.faults)
    folder.print_summary(record, f"{record.seconds:.0f} s of walking", bar)
    return exit_code(record, failure)


@asynccontextmanager
async def _prepared(
    settings: WalkSettings, target: Target, folder: ReportFolder, bar: ProgressBar
) -> AsyncIterator[tuple[Run, str]]:
    """Start and connect everything, and yield the run and the address of the server."""
    requests, customers = settings.requests, settings.customers
    async with (
        preparation.running_system(target, folder, bar) as system,
        preparation.origin(target, folder, bar) as origin,
        preparation.connection(system.address) as stub,
    ):
        items = WalkItems(requests, requests, customers, origin.urls)
        run = Run(
            settings=settings,
            items=items,
            stub=stub,
            selected=await _available(settings, stub, items.customer_at(0)),
            sampler=preparation.sampler(target, system, origin),
            metrics=system.metrics,
            bar=bar,
        )
        yield run, system.address


async def _available(
    settings: WalkSettings, stub: "pb_grpc.ImageServiceAsyncStub", customer: str
) -> frozenset[Selection]:
    """Return the selected lists that the server has. Raises CannotStart if there are none, or the search fails."""
    if Selection.SEARCH not in settings.only:
        return settings.only
    try:
        available = await has_search(stub, customer, settings.progress_timeout)
    except grpc.aio.AioRpcError as error:
        raise CannotStart(f"a search failed: {error.code().name}: {error.details()}") from None
    selected = settings.only if available else settings.only - {Selection.SEARCH}
    if not selected:
        raise CannotStart("--only search: the server has no search")
    return selected


async def _execute(run: Run) -> None:
    """Raises the error of a failed task instead of the exception groups around it."""
    try:
        await run.execute()
    except ExceptionGroup as group:
        error: Exception = group
        while isinstance(error, ExceptionGroup):
            error = error.exceptions[0]
        raise error from None
