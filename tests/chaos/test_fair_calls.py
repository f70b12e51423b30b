"""One customer fills a limit of the server: the calls of another customer are all answered."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Iterable
from contextlib import asynccontextmanager

import grpc
import pytest_asyncio
from aiohttp import web

from harness.aws import RecordingAws
from harness.aws_proxy import AwsProxy, Forward, ProxiedCall, aws_proxy
from harness.grpc_client import expect_refusal, refusal, submit_request
from harness.metrics import MetricsPort
from harness.system import System, system
from harness.waiting import wait_for
from imageservice.v1 import image_service_pb2 as pb

GREEDY, OTHER = "greedy", "other"
CALLS, OTHERS = 400, 20

Watch = grpc.aio.UnaryStreamCall[pb.WatchRequestRequest, pb.WatchRequestResponse]
Outcome = tuple[grpc.StatusCode, str, bool]
REFUSED: Outcome = (grpc.StatusCode.RESOURCE_EXHAUSTED, "OVERLOADED", True)
"""The code, the reason, and whether there is a retry delay."""


class HeldCalls:
    """Holds the calls to AWS of one operation that name a text, until `released`. `calls` counts all calls."""

    def __init__(self, operation: str, text: str) -> None:
        self.released = asyncio.Event()
        self.calls: Counter[str] = Counter()
        self._operation = operation
        self._text = text.encode()

    async def hook(self, call: ProxiedCall, forward: Forward) -> web.Response:
        self.calls[call.operation] += 1
        if call.operation == self._operation and self._text in call.body:
            await self.released.wait()
        return await forward()


@pytest_asyncio.fixture
async def proxy(embedded_aws: RecordingAws) -> AsyncIterator[AwsProxy]:
    async with aws_proxy(embedded_aws.endpoint) as opened:
        yield opened


@pytest_asyncio.fixture
async def running(embedded_aws: RecordingAws, proxy: AwsProxy) -> AsyncIterator[System]:
    async with system(embedded_aws, endpoint=proxy.endpoint) as started:
        yield started


@asynccontextmanager
async def many_calls(calls: Iterable[Awaitable[object]]) -> AsyncIterator["Calls"]:
    """Make calls in the background, and wait for their end."""
    made = Calls()
    tasks = [asyncio.create_task(made.call(each)) for each in calls]
    try:
        yield made
    finally:
        await asyncio.gather(*tasks)


class Calls:
    """`ended` counts the outcomes of the calls that have ended."""

    def __init__(self) -> None:
        self.ended: Counter[Outcome] = Counter()

    async def call(self, call: Awaitable[object]) -> None:
        try:
            await call
        except grpc.aio.AioRpcError as error:
            failed = refusal(error)
            self.ended[failed.code, failed.reason, failed.retry_after is not None] += 1
        else:
            self.ended[grpc.StatusCode.OK, "", False] += 1

    async def refused(self, count: int) -> None:
        await wait_for(lambda: self.ended[REFUSED] >= count, lambda: f"refusals: {self.ended}")


async def test_lists_of_one_customer_keep_no_other_out(running: System, proxy: AwsProxy) -> None:
    """Its index does not answer, so its calls hold all places and all queries. Those beyond the limit are refused."""
    held = HeldCalls("Query", GREEDY)
    proxy.hook = held.hook
    port = MetricsPort()
    await running.start_server(MAX_LISTINGS="64", **port.settings)
    async with running.stub() as stub:

        async def lists(customer: str) -> pb.ListRequestsResponse:
            return await stub.ListRequests(pb.ListRequestsRequest(customer_id=customer))

        async with many_calls(lists(GREEDY) for _ in range(CALLS)) as greedy:
            await greedy.refused(CALLS - 64)
            answers = await asyncio.gather(*(lists(OTHER) for _ in range(OTHERS)))
            assert answers == [pb.ListRequestsResponse()] * OTHERS
            page = await port.scrape()
            held.released.set()
    labels = {"kind": "lists", "reason": "share"}
    assert page.value("refused_places_total", **labels) == CALLS - 64
    assert greedy.ended[REFUSED] == CALLS - 64


async def test_rows_of_one_customer_do_not_fill_the_queue_of_reads(
    running: System, proxy: AwsProxy
) -> None:
    """Calls within the limit would read 20,000 rows at once. They take turns, and no call is refused for them."""
    held = HeldCalls("BatchGetItem", "")
    await running.start_server(MAX_LISTINGS="200")
    await asyncio.gather(
        *(running.submit(f"https://a.example/{each}", customer=GREEDY) for each in range(100))
    )
    foreign = await running.submit("https://a.example/1", customer=OTHER)
    proxy.hook = held.hook
    async with running.stub() as stub:
        message = pb.ListRequestsRequest(customer_id=GREEDY, page_size=100)
        async with many_calls(stub.ListRequests(message) for _ in range(200)) as greedy:
            await wait_for(lambda: held.calls["Query"] >= 200 * 8, "queries of all lists")
            read = pb.GetStatusRequest(request_id=foreign)
            status = asyncio.ensure_future(stub.GetStatus(read))
            held.released.set()
        assert (await status).request.request_id == foreign
    assert greedy.ended == {(grpc.StatusCode.OK, "", False): 200}


async def test_submits_of_one_customer_keep_no_other_out(running: System, proxy: AwsProxy) -> None:
    """AWS is slow, so its submits fill the limit. Those of another customer are accepted beside them."""
    held = HeldCalls("BatchExecuteStatement", "")
    proxy.hook = held.hook
    port = MetricsPort()
    await running.start_server(MAX_PENDING_SUBMITS="300", **port.settings)
    async with running.stub() as stub:

        async def submit(customer: str) -> pb.SubmitImageResponse:
            return await stub.SubmitImage(submit_request(customer=customer))

        async with many_calls(submit(GREEDY) for _ in range(CALLS)) as greedy:
            await greedy.refused(CALLS - 300)
            async with many_calls(submit(OTHER) for _ in range(OTHERS)) as others:
                await port.until(lambda page: page.value("pending_submits") == 300 + OTHERS)
                refused = await expect_refusal(submit(GREEDY))
                assert (refused.reason, refused.retry_after) == ("OVERLOADED", 1.0)
                held.released.set()
    assert others.ended == {(grpc.StatusCode.OK, "", False): OTHERS}
    assert greedy.ended[REFUSED] == CALLS - 300


async def test_watches_of_one_customer_keep_no_other_out(running: System) -> None:
    """Watches last long: those of the greedy customer stay while the others begin."""
    await running.start_server(MAX_WATCHED_REQUESTS="300")
    own = await running.submit("https://a.example/1", customer=GREEDY)
    foreign = await running.submit("https://a.example/1", customer=OTHER)
    reason = "TOO_MANY_WATCHED"
    async with running.stub() as stub:

        def watch(request_id: str) -> Watch:
            return stub.WatchRequest(pb.WatchRequestRequest(request_ids=[request_id]))

        greedy = [watch(own) for _ in range(CALLS)]
        first = await asyncio.gather(*(each.read() for each in greedy), return_exceptions=True)
        refused = [refusal(each) for each in first if isinstance(each, grpc.aio.AioRpcError)]
        assert [each.reason for each in refused] == [reason] * (CALLS - 300)
        assert all(each.retry_after is not None for each in refused)
        others = [watch(foreign) for _ in range(OTHERS)]
        for each in others:
            state = await each.read()
            assert isinstance(state, pb.WatchRequestResponse)
            assert state.request.state == pb.STATE_PENDING
        assert (await expect_refusal(watch(own).read())).reason == reason
        for call in (*greedy, *others):
            call.cancel()
