"""The server process: signals, graceful shutdown, and errors at start-up."""

import asyncio
import os
import signal
import sys
import uuid
from collections.abc import AsyncIterator

import grpc
import pytest_asyncio
from aiohttp import web

from cli.local.embedded_aws import without_aws
from harness.aws import RecordingAws
from harness.aws_proxy import AwsProxy, Forward, ProxiedCall, aws_proxy
from harness.grpc_client import expect_refusal, submit_request
from harness.system import System, system
from harness.waiting import wait_for
from imageservice.v1 import image_service_pb2 as pb
from imageservice.v1 import image_service_pb2_grpc


class Gate:
    """Holds back the answers of the queue until it is opened."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self.opened = asyncio.Event()

    async def hook(self, call: ProxiedCall, forward: Forward) -> web.Response:
        if call.operation == "SendMessageBatch":
            self.reached.set()
            await self.opened.wait()
        return await forward()


@pytest_asyncio.fixture
async def proxy(embedded_aws: RecordingAws) -> AsyncIterator[AwsProxy]:
    async with aws_proxy(embedded_aws.endpoint) as running:
        yield running


@pytest_asyncio.fixture
async def server_system(embedded_aws: RecordingAws, proxy: AwsProxy) -> AsyncIterator[System]:
    async with system(embedded_aws, endpoint=proxy.endpoint) as running:
        yield running


async def rejecting(stub: "image_service_pb2_grpc.ImageServiceAsyncStub") -> None:
    """Wait until a server that drains has ended its streams. Then it rejects unary calls too."""
    unknown = pb.GetStatusRequest(request_id=str(uuid.uuid4()))

    async def rejects() -> bool:
        return (await expect_refusal(stub.GetStatus(unknown))).reason == "SERVER_DRAINING"

    await wait_for(rejects, "a rejected call")


async def test_a_submit_in_progress_at_sigterm_is_answered(
    server_system: System, proxy: AwsProxy
) -> None:
    """The drain waits for calls in progress, rejects later ones, and the process exits with 0."""
    gate = Gate()
    proxy.hook = gate.hook
    process = await server_system.start_server()
    async with server_system.stub() as stub:
        request = submit_request(str(uuid.uuid4()))
        submit = asyncio.ensure_future(stub.SubmitImage(request))
        await gate.reached.wait()
        watch = stub.WatchRequest(pb.WatchRequestRequest(request_ids=[request.request_id]))
        await watch.read()
        process.send_signal(signal.SIGTERM)
        error = await expect_refusal(watch.read())
        assert (error.code, error.reason) == (grpc.StatusCode.UNAVAILABLE, "SERVER_DRAINING")
        await rejecting(stub)
        late = await expect_refusal(stub.SubmitImage(submit_request(str(uuid.uuid4()))))
        assert (late.code, late.reason) == (grpc.StatusCode.UNAVAILABLE, "SERVER_DRAINING")
        assert late.retry_after is not None
        gate.opened.set()
        answer = await submit
        assert (answer.request_id, answer.state) == (request.request_id, pb.STATE_PENDING)
        assert await process.wait() == 0


async def test_a_drain_has_a_grace_period(server_system: System, proxy: AwsProxy) -> None:
    """Calls that exceed the grace period find their connection closed, and the process exits with 0."""
    gate = Gate()
    proxy.hook = gate.hook
    process = await server_system.start_server(DRAIN_GRACE_S="0.2")
    async with server_system.stub() as stub:
        submit = asyncio.ensure_future(stub.SubmitImage(submit_request()))
        await gate.reached.wait()
        process.send_signal(signal.SIGTERM)
        error = await expect_refusal(submit)
        assert (error.code, error.reason) == (grpc.StatusCode.UNAVAILABLE, "")
        assert await process.wait() == 0
        gate.opened.set()


async def test_the_second_signal_kills_the_process(server_system: System, proxy: AwsProxy) -> None:
    """A second signal means that the operator does not want to wait."""
    gate = Gate()
    proxy.hook = gate.hook
    process = await server_system.start_server()
    async with server_system.stub() as stub:
        request = submit_request(str(uuid.uuid4()))
        submit = asyncio.ensure_future(stub.SubmitImage(request))
        await gate.reached.wait()
        watch = stub.WatchRequest(pb.WatchRequestRequest(request_ids=[request.request_id]))
        await watch.read()
        process.send_signal(signal.SIGTERM)
        await expect_refusal(watch.read())
        process.send_signal(signal.SIGINT)
        assert await process.wait() == -signal.SIGINT
        await expect_refusal(submit)
    gate.opened.set()


async def started(environment: dict[str, str]) -> tuple[int, list[str]]:
    """Run the server until it exits. Returns its exit status and its standard error."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "server",
        env={**without_aws(os.environ), **environment},
        stderr=asyncio.subprocess.PIPE,
    )
    _, errors = await process.communicate()
    assert process.returncode is not None
    return process.returncode, errors.decode().splitlines()


async def test_a_port_in_use_is_reported_in_one_line(server_system: System) -> None:
    """Two servers never share a port; the second one names the setting that is wrong."""
    await server_system.start_server()
    environment = {
        **server_system.aws.environment("server"),
        **server_system.stack.environment(),
        "GRPC_ADDRESS": server_system.address,
        "METRICS_HOST": "127.0.0.1",
        "METRICS_PORT": str(server_system.port()),
    }
    status, lines = await started(environment)
    assert status == 1
    (line,) = lines
    assert line.startswith("GRPC_ADDRESS: ")
    assert "already in use" in line


async def test_every_invalid_setting_is_reported() -> None:
    """A server without valid settings does not start, and reports all errors at once."""
    environment = {
        "REQUESTS_TABLE": "requests",
        "IMAGES_TABLE": "images",
        "GRPC_ADDRESS": "50051",
        "MAX_WATCHED_REQUESTS": "many",
        "PUBLIC_BASE_URL": "https://cdn.example",
    }
    status, lines = await started(environment)
    assert status == 2
    assert {line.partition(":")[0] for line in lines} == {
        "QUEUE_URL",
        "GRPC_ADDRESS",
        "MAX_WATCHED_REQUESTS",
        "PUBLIC_BASE_URL",
    }
