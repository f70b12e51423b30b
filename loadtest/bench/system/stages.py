"""The system's two stages as processes, each worked to saturation: first all is submitted, then all is consumed."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc

from imageservice.v1 import image_service_pb2 as pb
from imageservice.v1 import image_service_pb2_grpc
from loadtest.bench.system.backend import Backend
from loadtest.bench.system.metrics_page import MetricsPage
from loadtest.bench.system.process import (
    HOST,
    Running,
    free_port,
    grpc_ready,
    ready_file,
    running,
)

IN_FLIGHT = 200
_PICTURES = "tests/images"


@dataclass(frozen=True, slots=True)
class Stage:
    """A server (with its address) or a consumer."""

    process: Running
    metrics: MetricsPage
    address: str = ""


@asynccontextmanager
async def origin() -> AsyncIterator[str]:
    """The base URL of a running loadtest.origin."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "origin.json"
        arguments = ("--pictures", _PICTURES, "--ready-file", str(path))
        async with running("loadtest.origin", *arguments) as process:
            url: str = (await ready_file(process, path))["url"]
            yield url


def pictures(origin_url: str, count: int, *, start: int = 0) -> list[str]:
    """URLs of small pictures, each of other bytes."""
    return [f"{origin_url}/generated/{number}.jpg" for number in range(start, start + count)]


@asynccontextmanager
async def server_stage(aws: Backend) -> AsyncIterator[Stage]:
    address = f"{HOST}:{free_port()}"
    environment = {**aws.settings("server"), "GRPC_ADDRESS": address}
    async with running("server", environment=environment) as process:
        await grpc_ready(process, address)
        yield Stage(process, MetricsPage(environment), address)


@asynccontextmanager
async def consumer_stage(aws: Backend) -> AsyncIterator[Stage]:
    environment = aws.settings("consumer")
    metrics = MetricsPage(environment)
    async with running("consumer", environment=environment) as process:
        await metrics.until_ready(process.fail_if_ended)
        yield Stage(process, metrics)


async def submit(stage: Stage, urls: Sequence[str], in_flight: int = IN_FLIGHT) -> None:
    """Submit each, a fixed number at a time. Raises AioRpcError for any that is not accepted."""
    waiting = iter(urls)

    async with grpc.aio.insecure_channel(stage.address) as channel:
        stub = image_service_pb2_grpc.ImageServiceStub(channel)

        async def caller() -> None:
            for url in waiting:
                await stub.SubmitImage(pb.SubmitImageRequest(url=url, customer_id="bench"))

        async with asyncio.TaskGroup() as group:
            for _ in range(min(in_flight, len(urls))):
                group.create_task(caller())
