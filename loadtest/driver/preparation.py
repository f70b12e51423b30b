"""What a run needs, running and connected until the run has ended."""

import asyncio
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc

from imageservice.v1 import image_service_pb2_grpc as pb_grpc
from loadtest.driver.errors import Cannot
from loadtest.driver.local_processes import local_origin, local_system
from loadtest.driver.progress_bar import ProgressBar
from loadtest.driver.report_folder import ReportFolder
from loadtest.driver.surroundings import Surroundings
from loadtest.driver.target import Target
from loadtest.run_report.processes import ProcessSampler

CONNECT_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Origin:
    """Where the pictures come from."""

    urls: tuple[str, ...]
    pids: Mapping[str, int] = field(default_factory=dict)
    """Of the one that was started here, by the name that the report gives it."""


@asynccontextmanager
async def surroundings(
    target: Target, folder: ReportFolder, bar: ProgressBar
) -> AsyncIterator[Surroundings]:
    """Of the system that was there, or of one that is started. Raises Cannot."""
    if target.up:
        bar.say("starting the system")
        async with local_system(target.consumers, folder.log("system")) as around:
            yield around
    elif target.ready_file is None:
        yield Surroundings(target.address)
    else:
        yield await asyncio.to_thread(_read, target.ready_file)


def _read(ready_file: Path) -> Surroundings:
    try:
        return Surroundings.read(ready_file)
    except (OSError, ValueError, LookupError) as error:
        raise Cannot(f"--ready-file {ready_file}: {error}") from None


@asynccontextmanager
async def origin(target: Target, folder: ReportFolder, bar: ProgressBar) -> AsyncIterator[Origin]:
    """The one that was named, or one that is started. Raises Cannot."""
    if target.origins:
        yield Origin(target.origins)
        return
    bar.say("starting the origin")
    async with local_origin(target.hosts, folder.log("origin")) as (urls, pid):
        yield Origin(urls, {"origin": pid})


@asynccontextmanager
async def connection(
    address: str, options: Sequence[tuple[str, Any]] = ()
) -> AsyncIterator["pb_grpc.ImageServiceAsyncStub"]:
    """Raises Cannot where no server is found within CONNECT_SECONDS."""
    async with grpc.aio.insecure_channel(address, options=options) as channel:
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await channel.channel_ready()
        except TimeoutError:
            raise Cannot(f"no server at {address}") from None
        yield pb_grpc.ImageServiceStub(channel)


def sampler(target: Target, around: Surroundings, pictures: Origin) -> ProcessSampler:
    """Of the system as it runs at the time, of this driver, its origin, and what else was named."""
    own = {**target.sampled, "driver": os.getpid(), **pictures.pids}
    return ProcessSampler(lambda: {**around.pids(), **own})
