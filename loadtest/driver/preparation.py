"""Starts and connects what a run needs, until the run has ended."""

import asyncio
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc

from imageservice.v1 import image_service_pb2_grpc as pb_grpc
from loadtest.driver.execution import CannotStart
from loadtest.driver.processes import local_origin, local_system
from loadtest.driver.progress_bar import ProgressBar
from loadtest.driver.report_folder import ReportFolder
from loadtest.driver.target import SystemInfo, Target
from loadtest.run_report.processes import ProcessSampler

CONNECT_TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class Origin:
    """The origin of the images."""

    urls: tuple[str, ...]
    pids: Mapping[str, int] = field(default_factory=dict)
    """The process id by name, if the origin was started here."""


@asynccontextmanager
async def running_system(
    target: Target, folder: ReportFolder, bar: ProgressBar
) -> AsyncIterator[SystemInfo]:
    """Yield the existing system, or start one. Raises CannotStart."""
    if target.up:
        bar.print("starting the system")
        async with local_system(target.consumers, folder.log("system")) as system:
            yield system
    elif target.ready_file is None:
        yield SystemInfo(target.address)
    else:
        yield await asyncio.to_thread(_read, target.ready_file)


def _read(ready_file: Path) -> SystemInfo:
    try:
        return SystemInfo.read(ready_file)
    except (OSError, ValueError, LookupError) as error:
        raise CannotStart(f"--ready-file {ready_file}: {error}") from None


@asynccontextmanager
async def origin(target: Target, folder: ReportFolder, bar: ProgressBar) -> AsyncIterator[Origin]:
    """Yield the given origin, or start one. Raises CannotStart."""
    if target.origins:
        yield Origin(target.origins)
        return
    bar.print("starting the origin")
    async with local_origin(target.hosts, folder.log("origin")) as (urls, pid):
        yield Origin(urls, {"origin": pid})


@asynccontextmanager
async def connection(
    address: str, options: Sequence[tuple[str, Any]] = ()
) -> AsyncIterator["pb_grpc.ImageServiceAsyncStub"]:
    """Connect to the server. Raises CannotStart if that fails for CONNECT_TIMEOUT_S."""
    async with grpc.aio.insecure_channel(address, options=options) as channel:
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await channel.channel_ready()
        except TimeoutError:
            raise CannotStart(f"no server at {address}") from None
        yield pb_grpc.ImageServiceStub(channel)


def sampler(target: Target, system: SystemInfo, image_origin: Origin) -> ProcessSampler:
    """Sample the system, this driver, its origin, and the processes given by --sample."""
    own = {**target.sampled, "driver": os.getpid(), **image_origin.pids}
    return ProcessSampler(lambda: {**system.pids(), **own})
