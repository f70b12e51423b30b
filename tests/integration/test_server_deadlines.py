"""A call whose time is up counts as DEADLINE_EXCEEDED, so that the availability SLO sees a frozen AWS."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Mapping

import grpc
import pytest
import pytest_asyncio
from aiohttp import web

from harness.aws import RecordingAws
from harness.aws_proxy import Forward, ProxiedCall, aws_proxy
from harness.grpc_client import expect_refusal, submit_request
from harness.metrics import MetricsPort, Scrape
from harness.system import System, system
from imageservice.v1 import image_service_pb2 as pb

ENDED = "grpc_server_handled_total"


class FrozenAws:
    """Accepts every call and answers none until it is released."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self.released = asyncio.Event()

    async def hook(self, _call: ProxiedCall, forward: Forward) -> web.Response:
        self.reached.set()
        await self.released.wait()
        return await forward()


@pytest.fixture
def port() -> MetricsPort:
    return MetricsPort()


@pytest.fixture
def frozen_aws() -> FrozenAws:
    return FrozenAws()


@pytest_asyncio.fixture
async def frozen(
    embedded_aws: RecordingAws, port: MetricsPort, frozen_aws: FrozenAws
) -> AsyncIterator[System]:
    """A server whose AWS does not answer."""
    async with (
        aws_proxy(embedded_aws.endpoint) as proxy,
        system(embedded_aws, endpoint=proxy.endpoint) as running,
    ):
        await running.start_server(**port.settings, DRAIN_GRACE_S="0")
        proxy.hook = frozen_aws.hook
        try:
            yield running
        finally:
            frozen_aws.released.set()


async def ended(port: MetricsPort, method: str) -> Mapping[str, float]:
    """Wait until a call of the method has ended. Return the number of ended calls by code."""

    def counts(page: Scrape) -> dict[str, float]:
        codes = {
            code.name: page.value(ENDED, grpc_method=method, grpc_code=code.name)
            for code in grpc.StatusCode
        }
        return {name: value for name, value in codes.items() if value}

    return counts(await port.until(lambda page: bool(counts(page))))


@pytest.mark.parametrize("deadline_s", [0.5, 1.003, 2.0])
async def test_a_unary_call_whose_deadline_expires(
    frozen: System, port: MetricsPort, frozen_aws: FrozenAws, deadline_s: float
) -> None:
    """gRPC rounds 1.003 s up to 1.01 s for the server, so that the client gives up before the server's deadline."""
    async with frozen.stub() as stub:
        # On a busy machine a call may expire before it reaches the server, which does not count it.
        while not frozen_aws.reached.is_set():
            refused = await expect_refusal(stub.SubmitImage(submit_request(), timeout=deadline_s))
            assert refused.code is grpc.StatusCode.DEADLINE_EXCEEDED
    assert set(await ended(port, "SubmitImage")) == {"DEADLINE_EXCEEDED"}


@pytest.mark.parametrize("deadline_s", [None, 600.0])
async def test_a_unary_call_that_its_client_cancels(
    frozen: System, port: MetricsPort, frozen_aws: FrozenAws, deadline_s: float | None
) -> None:
    """It is CANCELLED, with a deadline and without one: the client did not want to wait."""
    async with frozen.stub() as stub:
        call = stub.SubmitImage(submit_request(), timeout=deadline_s)
        await frozen_aws.reached.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
    assert set(await ended(port, "SubmitImage")) == {"CANCELLED"}


async def test_a_watch_whose_deadline_expires(
    frozen: System, port: MetricsPort, frozen_aws: FrozenAws
) -> None:
    """It is CANCELLED: a watch may last until the deadline of its client."""
    request = pb.WatchRequestRequest(request_ids=[str(uuid.uuid4())])
    async with frozen.stub() as stub:
        while not frozen_aws.reached.is_set():
            refused = await expect_refusal(stub.WatchRequest(request, timeout=0.5).read())
            assert refused.code is grpc.StatusCode.DEADLINE_EXCEEDED
    assert set(await ended(port, "WatchRequest")) == {"CANCELLED"}
