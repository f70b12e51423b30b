"""`imageservice-loadtest walk` from its options to its report."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import grpc
from rich.console import Console

from imageservice.v1 import image_service_pb2_grpc as pb_grpc
from loadtest.driver import preparation
from loadtest.driver.errors import Cannot
from loadtest.driver.execution import executed, exit_code
from loadtest.driver.progress_bar import ProgressBar
from loadtest.driver.report_folder import ReportFolder
from loadtest.driver.target import Target
from loadtest.run_report.heading import heading
from loadtest.walk.choice import EVERYTHING, Choice
from loadtest.walk.items import WalkItems
from loadtest.walk.run import Run
from loadtest.walk.searches import searchable
from loadtest.walk.settings import WalkSettings


async def walk(settings: WalkSettings, target: Target, report: Path, console: Console) -> int:
    """The exit code. Raises Cannot."""
    bar, folder = ProgressBar(console), ReportFolder(report)
    await asyncio.to_thread(folder.clear)
    what = "Every list" if settings.only == EVERYTHING else "Some lists"
    title = f"{what} of {settings.customers:,} customers, walked while more is submitted"
    head = await asyncio.to_thread(heading, title, settings.for_report())
    async with _prepared(settings, target, folder, bar) as (run, address):
        failure = await executed(_execute(run), bar)
    head = replace(head, settings={**head.settings, "server": address})
    record = run.record(head, failure or "")
    await asyncio.to_thread(folder.write, record, run.proof.faults)
    folder.tell(record, f"{record.seconds:.0f} s of walking", bar)
    return exit_code(record, failure)


@asynccontextmanager
async def _prepared(
    settings: WalkSettings, target: Target, folder: ReportFolder, bar: ProgressBar
) -> AsyncIterator[tuple[Run, str]]:
    """Everything that the run needs, running and connected, and the server's address."""
    requests, customers = settings.requests, settings.customers
    async with (
        preparation.surroundings(target, folder, bar) as around,
        preparation.origin(target, folder, bar) as origin,
        preparation.connection(around.address) as stub,
    ):
        items = WalkItems(requests, requests, customers, origin.urls)
        run = Run(
            settings=settings,
            items=items,
            stub=stub,
            chosen=await _chosen(settings, stub, items.customer_at(0)),
            sampler=preparation.sampler(target, around, origin),
            metrics=around.metrics,
            bar=bar,
        )
        yield run, around.address


async def _chosen(
    settings: WalkSettings, stub: "pb_grpc.ImageServiceAsyncStub", customer: str
) -> frozenset[Choice]:
    """Without a search that the server does not have. Raises Cannot where nothing is left, or it does not answer."""
    if Choice.SEARCH not in settings.only:
        return settings.only
    try:
        there = await searchable(stub, customer, settings.patience)
    except grpc.aio.AioRpcError as error:
        raise Cannot(f"a search failed: {error.code().name}: {error.details()}") from None
    left = settings.only if there else settings.only - {Choice.SEARCH}
    if not left:
        raise Cannot("--only search: the server has no search")
    return left


async def _execute(run: Run) -> None:
    """Raises what a task broke off with, and not the groups of tasks around it."""
    try:
        await run.execute()
    except ExceptionGroup as group:
        error: Exception = group
        while isinstance(error, ExceptionGroup):
            error = error.exceptions[0]
        raise error from None
