"""`imageservice-loadtest walk` from its options to its report."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import grpc
from rich.console import Console

from imageservice.v1 import image_service_pb2_grpc as pb_grpc
from loadtest.million.command import CONNECT_SECONDS, INTERRUPTED, Cannot, Target
from loadtest.million.local_processes import NotStarted, Surroundings, local_origin, local_system
from loadtest.million.progress_bar import ProgressBar
from loadtest.run_report import report as pages
from loadtest.run_report.heading import heading
from loadtest.run_report.processes import ProcessSampler
from loadtest.run_report.record import RunRecord
from loadtest.run_report.thinning import thinned
from loadtest.walk.items import WalkItems
from loadtest.walk.run import Run
from loadtest.walk.settings import WalkSettings

POINTS = 600
"""Of the timeline in the JSON."""

_FILES = _JSON, _PAGE, _PICTURE, _FAULTS = (
    "report.json",
    "report.html",
    "report.png",
    "faults.txt",
)
_STOPPED = "Interrupted."


async def walk(settings: WalkSettings, target: Target, folder: Path, console: Console) -> int:
    """The exit code. Raises Cannot."""
    bar = ProgressBar(console)
    await asyncio.to_thread(_clear, folder)
    title = f"Every list of {settings.customers:,} customers, walked while more is submitted"
    head = await asyncio.to_thread(heading, title, settings.for_report())
    try:
        async with _prepared(settings, target, folder, bar) as (run, address):
            failure = await _executed(run, bar)
    except NotStarted as error:
        raise Cannot(str(error)) from None
    head = replace(head, settings={**head.settings, "server": address})
    record = run.record(head, failure or "")
    await asyncio.to_thread(_write, record, run, folder)
    for sentence in record.verdict.sentences:
        bar.say(sentence)
    totals = ", ".join(f"{name} {value}" for name, value in record.totals.items())
    bar.say(f"{record.seconds:.0f} s of walking; {totals}")
    bar.say(f"the report is in {folder}")
    if failure == _STOPPED:
        return INTERRUPTED
    return 0 if record.verdict.passed else 1


def _clear(folder: Path) -> None:
    """No file of an earlier run is left to be taken for one of this run. Raises Cannot."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in _FILES:
            (folder / name).unlink(missing_ok=True)
    except OSError as error:
        raise Cannot(f"--report {folder}: {error.strerror}") from None


@asynccontextmanager
async def _prepared(
    settings: WalkSettings, target: Target, folder: Path, bar: ProgressBar
) -> AsyncIterator[tuple[Run, str]]:
    """Everything that the run needs, running and connected, and the server's address."""
    async with AsyncExitStack() as stack:
        around = await _surroundings(stack, target, folder, bar)
        origins, own = target.origins, {**target.sampled, "driver": os.getpid()}
        if not origins:
            bar.say("starting the origin")
            origins, own["origin"] = await stack.enter_async_context(
                local_origin(target.hosts, folder / "origin.log")
            )
        channel = await stack.enter_async_context(grpc.aio.insecure_channel(around.address))
        await _connected(channel, around.address)
        run = Run(
            settings=settings,
            items=WalkItems(settings.requests, settings.requests, settings.customers, origins),
            stub=pb_grpc.ImageServiceStub(channel),
            sampler=ProcessSampler(lambda: {**around.pids(), **own}),
            metrics=around.metrics,
            bar=bar,
        )
        yield run, around.address


async def _surroundings(
    stack: AsyncExitStack, target: Target, folder: Path, bar: ProgressBar
) -> Surroundings:
    if target.up:
        bar.say("starting the system")
        return await stack.enter_async_context(
            local_system(target.consumers, folder / "system.log")
        )
    if target.ready_file is None:
        return Surroundings(target.address)
    try:
        return await asyncio.to_thread(Surroundings.read, target.ready_file)
    except (OSError, ValueError, LookupError) as error:
        raise Cannot(f"--ready-file {target.ready_file}: {error}") from None


async def _connected(channel: grpc.aio.Channel, address: str) -> None:
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            await channel.channel_ready()
    except TimeoutError:
        raise Cannot(f"no server at {address}") from None


async def _executed(run: Run, bar: ProgressBar) -> str | None:
    """Why it did not come to its end, None where it did."""
    execution = asyncio.create_task(run.execute())
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, execution.cancel)
    try:
        await execution
    except asyncio.CancelledError:
        return _STOPPED
    except Exception as error:  # noqa: BLE001  whatever ends a run, what was found until then is reported
        return f"It broke off: {_cause(error)}"
    finally:
        bar.end()
    return None


def _cause(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return f"{type(error).__name__}: {error}"


def _write(record: RunRecord, run: Run, folder: Path) -> None:
    short = thinned(record, POINTS)
    short.to_json(folder / _JSON)
    faults = (f"{kind}: {one}\n" for kind, all_ in run.proof.faults.items() for one in all_)
    (folder / _FAULTS).write_text("".join(faults), encoding="utf-8")
    if find_spec("matplotlib") is not None:
        pages.to_html(short, folder / _PAGE)
        pages.to_png(short, folder / _PICTURE)
