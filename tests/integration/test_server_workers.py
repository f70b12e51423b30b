"""Several server processes on one port: they share work and metrics, and none outlives the parent."""

import asyncio
import json
import os
import signal
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest_asyncio
from aiohttp import web
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from harness.aws import RecordingAws
from harness.aws_proxy import Forward, ProxiedCall, aws_proxy
from harness.grpc_client import submit_request
from harness.system import System, system
from harness.worker_group import (
    WorkerGroup,
    files_in,
    loads_grpc,
    wait_exited,
    worker_environment,
    worker_group,
)
from imageservice.v1 import image_service_pb2 as pb
from imageservice.v1 import image_service_pb2_grpc

CONNECTIONS = 32
"""The kernel assigns each connection to one of two workers by its hash: all to one, once in 2 ** 31 runs."""

SERVICE = "imageservice.v1.ImageService"
SUBMITTED = {"grpc_method": "SubmitImage", "grpc_code": "OK"}


@pytest_asyncio.fixture
async def server_system(embedded_aws: RecordingAws) -> AsyncIterator[System]:
    async with system(embedded_aws) as running:
        yield running


@pytest_asyncio.fixture
async def pair(server_system: System, tmp_path: Path) -> AsyncIterator[WorkerGroup]:
    """Two workers that serve."""
    async with worker_group(2, worker_environment(server_system, tmp_path)) as group:
        yield group


async def submit(channel: grpc.aio.Channel) -> str:
    request = submit_request(str(uuid.uuid4()))
    stub = image_service_pb2_grpc.ImageServiceStub(channel)
    return (await stub.SubmitImage(request, wait_for_ready=True)).request_id


async def get(channel: grpc.aio.Channel, request_id: str) -> int:
    stub = image_service_pb2_grpc.ImageServiceStub(channel)
    response = await stub.GetStatus(pb.GetStatusRequest(request_id=request_id))
    return response.request.state


async def watching_health(
    channels: list[grpc.aio.Channel],
) -> (
    "list[grpc.aio.UnaryStreamCall[health_pb2.HealthCheckRequest, health_pb2.HealthCheckResponse]]"
):
    """Open a stream on each channel. It stays open as long as its worker lives."""
    request = health_pb2.HealthCheckRequest(service=SERVICE)
    streams = [health_pb2_grpc.HealthStub(channel).Watch(request) for channel in channels]
    for stream in streams:
        assert (await stream.read()).status == health_pb2.HealthCheckResponse.SERVING
    return streams


async def check(channel: grpc.aio.Channel) -> None:
    request = health_pb2.HealthCheckRequest(service=SERVICE)
    answer = await health_pb2_grpc.HealthStub(channel).Check(request, wait_for_ready=True)
    assert answer.status == health_pb2.HealthCheckResponse.SERVING


async def test_workers_are_one_service(pair: WorkerGroup) -> None:
    """A request that one worker accepted is known to the other, and their metrics are summed."""
    async with pair.connections(CONNECTIONS) as channels:
        ids = await asyncio.gather(*(submit(channel) for channel in channels))
        states = await asyncio.gather(
            *(get(channels[at - 1], request_id) for at, request_id in enumerate(ids))
        )
        assert states == [pb.STATE_PENDING] * CONNECTIONS
        assert await pair.metric("grpc_server_handled_total", **SUBMITTED) == CONNECTIONS
        watches = [
            image_service_pb2_grpc.ImageServiceStub(channel).WatchRequest(
                pb.WatchRequestRequest(request_ids=[request_id])
            )
            for channel, request_id in zip(channels, ids, strict=True)
        ]
        await asyncio.gather(*(watch.read() for watch in watches))
        assert await pair.metric("watched_requests") == CONNECTIONS
        for watch in watches:
            watch.cancel()


async def test_every_worker_serves_health_and_reflection(pair: WorkerGroup) -> None:
    async def services(channel: grpc.aio.Channel) -> set[str]:
        stub: Any = reflection_pb2_grpc.ServerReflectionStub(channel)  # type: ignore[arg-type]  # the stubs know no aio
        call = stub.ServerReflectionInfo(
            iter([reflection_pb2.ServerReflectionRequest(list_services="")])
        )
        async for answer in call:
            return {service.name for service in answer.list_services_response.service}
        return set()

    async with pair.connections(CONNECTIONS) as channels:
        await asyncio.gather(*(check(channel) for channel in channels))
        for listed in await asyncio.gather(*(services(channel) for channel in channels)):
            assert SERVICE in listed


async def test_the_metrics_contain_each_process(pair: WorkerGroup) -> None:
    """CPU and memory of the parent, which is worker 0, and of each worker."""
    metrics = await pair.metrics()
    for worker in ("0", "1", "2"):
        assert metrics["process_resident_memory_bytes", (("worker", worker),)] > 0
        assert metrics["process_cpu_seconds_total", (("worker", worker),)] > 0


async def test_the_parent_does_not_load_grpc(pair: WorkerGroup) -> None:
    """gRPC's threads do not survive a fork, and its memory would be used once more."""
    assert not await loads_grpc(pair.process.pid)
    assert [await loads_grpc(pid) for pid in await pair.children()] == [True, True]


async def test_a_killed_worker_only_breaks_its_own_connections(pair: WorkerGroup) -> None:
    """A new worker with the same number replaces it; the service continues, and no counter decreases."""
    async with pair.connections(CONNECTIONS) as channels:
        streams = await watching_health(channels)
        await asyncio.gather(*(submit(channel) for channel in channels))
        before = await pair.children()
        os.kill(before[0], signal.SIGKILL)
        died = await pair.wait_for_event("worker died", exit_code=-signal.SIGKILL)
        await pair.wait_for_event("serving", worker=died["worker"])
        await asyncio.gather(*(check(channel) for channel in channels))
        broken = [stream for stream in streams if stream.done()]
        assert 0 < len(broken) < CONNECTIONS
        assert {await stream.code() for stream in broken} == {grpc.StatusCode.UNAVAILABLE}
        await asyncio.gather(*(submit(channel) for channel in channels))
        assert await pair.metric("grpc_server_handled_total", **SUBMITTED) == 2 * CONNECTIONS
        assert await pair.metric("server_worker_deaths_total", worker=str(died["worker"])) == 1
        after = await pair.children()
        assert (len(after), set(before) - set(after)) == (2, {before[0]})


async def test_a_worker_that_dies_at_its_start_is_restarted(
    server_system: System, tmp_path: Path
) -> None:
    """After one worker has served, a worker that dies at its start is counted and replaced."""
    started = tmp_path / "started"
    dies_once = f"""
import os, pathlib, sys
if "--number=2" in sys.orig_argv:
    try:
        pathlib.Path({str(started)!r}).touch(exist_ok=False)
        os._exit(3)
    except FileExistsError:
        pass
"""
    # Python imports a module of this name at start-up, if it exists (docs of `site`).
    await asyncio.to_thread((tmp_path / "sitecustomize.py").write_text, dies_once)
    environment = worker_environment(server_system, tmp_path, PYTHONPATH=str(tmp_path))
    async with worker_group(2, environment) as group:
        logged = [json.loads(line) for line in group.output if line.startswith("{")]
        assert [entry["exit_code"] for entry in logged if "exit_code" in entry] == [3]
        assert await group.metric("server_worker_deaths_total", worker="2") == 1
        assert len(await group.children()) == 2


async def test_gauges_of_a_dead_worker_are_removed(pair: WorkerGroup) -> None:
    """The requests that its streams watched are no longer counted."""
    async with pair.connections(CONNECTIONS) as channels:
        ids = await asyncio.gather(*(submit(channel) for channel in channels))
        watches = [
            image_service_pb2_grpc.ImageServiceStub(channel).WatchRequest(
                pb.WatchRequestRequest(request_ids=[request_id])
            )
            for channel, request_id in zip(channels, ids, strict=True)
        ]
        await asyncio.gather(*(watch.read() for watch in watches))
        os.kill((await pair.children())[0], signal.SIGKILL)
        died = await pair.wait_for_event("worker died")
        await pair.wait_for_event("serving", worker=died["worker"])
        await asyncio.gather(*(check(channel) for channel in channels))
        alive = [watch for watch in watches if not watch.done()]
        assert 0 < len(alive) < CONNECTIONS
        assert await pair.metric("watched_requests") == len(alive)
        for watch in alive:
            watch.cancel()


async def test_sigterm_drains_all_workers(
    embedded_aws: RecordingAws, server_system: System, tmp_path: Path
) -> None:
    """Each worker answers the calls in progress; the parent exits with 0 after the last, and removes its files."""
    can_answer = asyncio.Event()

    async def hold(call: ProxiedCall, forward: Forward) -> web.Response:
        if call.operation == "SendMessageBatch":
            await can_answer.wait()
        return await forward()

    async with aws_proxy(embedded_aws.endpoint) as proxy:
        proxy.hook = hold
        environment = worker_environment(server_system, tmp_path, AWS_ENDPOINT_URL=proxy.endpoint)
        async with worker_group(2, environment) as group:
            async with group.connections(CONNECTIONS) as channels:
                submits = [asyncio.ensure_future(submit(channel)) for channel in channels]
                begun = 0.0
                while begun < CONNECTIONS:
                    begun = await group.metric(
                        "grpc_server_started_total", grpc_method="SubmitImage"
                    )
                children = await group.children()
                group.process.send_signal(signal.SIGTERM)
                assert {
                    (await group.wait_for_event("draining"))["worker"],
                    (await group.wait_for_event("draining"))["worker"],
                } == {1, 2}
                can_answer.set()
                assert len(set(await asyncio.gather(*submits))) == CONNECTIONS
            assert await group.process.wait() == 0
            await asyncio.gather(*(wait_exited(pid) for pid in children))
    assert await files_in(tmp_path) == []


async def test_the_second_signal_kills_all_processes(server_system: System, tmp_path: Path) -> None:
    """A second signal means that the operator does not want to wait: no process and no file is left."""
    environment = worker_environment(server_system, tmp_path, DRAIN_DELAY_S="60")
    async with worker_group(2, environment) as group:
        children = await group.children()
        group.process.send_signal(signal.SIGTERM)
        await group.wait_for_event("draining")
        await group.wait_for_event("draining")
        group.process.send_signal(signal.SIGINT)
        assert await group.process.wait() == -signal.SIGINT
        await asyncio.gather(*(wait_exited(pid) for pid in children))
    assert await files_in(tmp_path) == []


async def test_signals_to_the_workers_also_drain_them(
    server_system: System, tmp_path: Path
) -> None:
    """An init system may signal every process of a service at once."""
    environment = worker_environment(server_system, tmp_path, DRAIN_DELAY_S="0.5")
    async with worker_group(2, environment) as group:
        children = await group.children()
        # All in one call: no process can have ended before its own signal.
        for pid in (group.process.pid, *children):
            os.kill(pid, signal.SIGTERM)
        assert await group.process.wait() == 0


async def test_no_worker_outlives_a_killed_parent(pair: WorkerGroup, tmp_path: Path) -> None:
    """They drain by themselves, and the last one removes the parent's files."""
    children = await pair.children()
    pair.process.kill()
    await pair.process.wait()
    await pair.wait_for_event("drained")
    await pair.wait_for_event("drained")
    await asyncio.gather(*(wait_exited(pid) for pid in children))
    assert await files_in(tmp_path) == []
