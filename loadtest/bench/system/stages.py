"""Servers and consumers as processes, and the origin of their images."""

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
    python_module,
    ready_file,
    running,
    running_command,
)

IN_FLIGHT = 200
_IMAGES = "tests/images"


@dataclass(frozen=True, slots=True)
class Stage:
    """A server (with its address) or a consumer."""

    process: Running
    metrics: MetricsPage
    address: str = ""


@asynccontextmanager
async def origin() -> AsyncIterator[str]:
    """Start loadtest.origin and yield its base URL."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "origin.json"
        arguments = ("--images", _IMAGES, "--ready-file", str(path))
        async with running("loadtest.origin", *arguments) as process:
            url: str = (await ready_file(process, path))["url"]
            yield url


def image_urls(origin_url: str, count: int, *, start: int = 0) -> list[str]:
    """Return URLs of small images with distinct bytes."""
    return [f"{origin_url}/generated/{number}.jpg" for number in range(start, start + count)]


@asynccontextmanager
async def server_stage(aws: Backend, module: str = "server") -> AsyncIterator[Stage]:
    """Start a server, or another module that listens on GRPC_ADDRESS."""
    address = f"{HOST}:{free_port()}"
    environment = {**aws.settings("server"), "GRPC_ADDRESS": address}
    async with running(module, environment=environment) as process:
        await grpc_ready(process, address)
        yield Stage(process, MetricsPage(environment), address)


@asynccontextmanager
async def consumer_stage(
    aws: Backend, command: Sequence[str] = python_module("consumer")
) -> AsyncIterator[Stage]:
    """Start a consumer, or another command that reads its settings and serves metrics."""
    environment = aws.settings("consumer")
    metrics = MetricsPage(environment)
    async with running_command(command, environment) as process:
        await metrics.until_ready(process.fail_if_ended)
        yield Stage(process, metrics)


async def submit(stage: Stage, urls: Sequence[str], in_flight: int = IN_FLIGHT) -> None:
    """Submit all URLs with `in_flight` concurrent calls. Raises AioRpcError if one is not accepted."""
    waiting = iter(urls)

    async with grpc.aio.insecure_channel(stage.address) as channel:
        stub = image_service_pb2_grpc.ImageServiceStub(channel)

        async def caller() -> None:
            for url in waiting:
                await stub.SubmitImage(pb.SubmitImageRequest(url=url, customer_id="bench"))

        async with asyncio.TaskGroup() as group:
            for _ in range(min(in_flight, len(urls))):
                group.create_task(caller())
