"""`imageservice-loadtest million` from its options to its report."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

import grpc
from rich.console import Console

from imageservice.v1 import image_service_pb2_grpc as pb_grpc
from loadtest.million.aws_access import open_access
from loadtest.million.items import Items
from loadtest.million.local_processes import NotStarted, Surroundings, local_origin, local_system
from loadtest.million.progress_bar import ProgressBar
from loadtest.million.run import Run
from loadtest.million.settings import RunSettings
from loadtest.run_report import report as pages
from loadtest.run_report.heading import heading
from loadtest.run_report.processes import ProcessSampler
from loadtest.run_report.record import Cell, RunRecord
from loadtest.run_report.thinning import thinned

POINTS = 600
"""Of the timeline in the JSON: an hour's run then stays under 300 KB."""
CONNECT_SECONDS = 30.0
INTERRUPTED = 130

_CHANNEL = [
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.max_reconnect_backoff_ms", 5_000),
]


class Cannot(Exception):
    """What was asked for cannot be tried; the text is for people."""


@dataclass(frozen=True, slots=True)
class Target:
    """What is put under load."""

    address: str
    ready_file: Path | None
    up: bool
    consumers: int
    origins: tuple[str, ...]
    """Base URLs; none starts an origin here."""
    hosts: int
    sampled: Mapping[str, int]
    """Further processes of this machine whose CPU and memory are to be shown: ids by name."""


async def million(settings: RunSettings, target: Target, folder: Path, console: Console) -> int:
    """The exit code. Raises Cannot."""
    bar = ProgressBar(console)
    await asyncio.to_thread(_clear, folder)
    title = await asyncio.to_thread(heading, _title(settings), settings.for_report())
    try:
        async with _prepared(settings, target, folder, bar) as (run, system):
            failure = await _executed(run, bar)
    except NotStarted as error:
        raise Cannot(str(error)) from None
    title = replace(title, settings={**title.settings, **system})
    record = run.record(title, failure or "")
    await asyncio.to_thread(_write, record, run, folder)
    _tell(record, folder, bar)
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


_FILES = _JSON, _PAGE, _PICTURE, _FAULTS = (
    "report.json",
    "report.html",
    "report.png",
    "faults.txt",
)
_STOPPED = "Interrupted."


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
    except Exception as error:  # noqa: BLE001  whatever ends a run, what was measured until then is reported
        return f"It broke off: {type(error).__name__}: {error}"
    finally:
        bar.end()
    return None


def _title(settings: RunSettings) -> str:
    requests = settings.requests
    return (
        f"{'A million' if requests == 1_000_000 else f'{requests:,}'} requests, submit to terminal"  # noqa: PLR2004
    )


@asynccontextmanager
async def _prepared(
    settings: RunSettings, target: Target, folder: Path, bar: ProgressBar
) -> AsyncIterator[tuple[Run, dict[str, Cell]]]:
    """Everything that the run needs, running and connected, and what the report says of it."""
    async with AsyncExitStack() as stack:
        around = await _surroundings(stack, target, folder, bar)
        # The SDK reads its endpoint and credentials nowhere else.
        os.environ.update(around.environment)
        origins, own = target.origins, {**target.sampled, "driver": os.getpid()}
        if not origins:
            bar.say("starting the origin")
            origins, own["origin"] = await stack.enter_async_context(
                local_origin(target.hosts, folder / "origin.log")
            )
        channel = await stack.enter_async_context(
            grpc.aio.insecure_channel(around.address, options=_CHANNEL)
        )
        await _connected(channel, around.address)
        aws = await stack.enter_async_context(open_access(os.environ))
        run = Run(
            settings=settings,
            items=Items(settings.requests, settings.distinct_bodies, settings.customers, origins),
            stub=pb_grpc.ImageServiceStub(channel),
            aws=aws,
            sampler=ProcessSampler(lambda: {**around.pids(), **own}),
            metrics=around.metrics,
            bar=bar,
        )
        yield run, _system(around, len(origins), by_watching=settings.watch or aws is None)


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


def _write(record: RunRecord, run: Run, folder: Path) -> None:
    short = thinned(record, POINTS)
    short.to_json(folder / _JSON)
    if run.proven:
        faults = (f"{kind}: {one}\n" for kind, all_ in run.proof.faults.items() for one in all_)
        (folder / _FAULTS).write_text("".join(faults), encoding="utf-8")
    if find_spec("matplotlib") is not None:
        pages.to_html(short, folder / _PAGE)
        pages.to_png(short, folder / _PICTURE)


def _tell(record: RunRecord, folder: Path, bar: ProgressBar) -> None:
    for sentence in record.verdict.sentences:
        bar.say(sentence)
    totals = ", ".join(f"{name} {value}" for name, value in record.totals.items())
    bar.say(f"{record.seconds:.0f} s; {totals}")
    bar.say(f"the report is in {folder}")
