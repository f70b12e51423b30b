"""Each failure is notified, also if its request is retried before SNS has accepted the notification."""

import asyncio
import signal
from collections.abc import Awaitable, Callable

import pytest
from aiohttp import web

from harness.aws import RecordingAws
from harness.aws_proxy import Forward, Outage, ProxiedCall, aws_proxy, pass_on
from harness.failures import Failures
from harness.origin import origin
from harness.orphaned_requests import row_of
from harness.stores import Stores, stores_of
from harness.system import system
from imageservice.v1 import image_service_pb2 as pb

SELECTIONS = pytest.mark.parametrize("selection", ["--customer", "--request-id"])
REJECTION = """<ErrorResponse><Error><Type>Sender</Type><Code>InvalidParameter</Code>
<Message>Invalid parameter</Message></Error><RequestId>1</RequestId></ErrorResponse>"""


def selected(selection: str, request_id: str) -> tuple[str, str]:
    return selection, "acme" if selection == "--customer" else request_id


class SnsOutage(Outage):
    """SNS does not answer. `tried` is set by each call."""

    def __init__(self) -> None:
        super().__init__()
        self.tried = asyncio.Event()

    async def hook(self, call: ProxiedCall, forward: Forward) -> web.Response:
        if call.operation != "PublishBatch":
            return await forward()
        self.tried.set()
        return await super().hook(call, forward)


async def state_of(stores: Stores, request_id: str) -> tuple[str, str]:
    row = await row_of(stores, request_id)
    return row["status"]["S"], row["revision"]["N"]


@SELECTIONS
async def test_a_failure_that_sns_did_not_accept_is_notified_before_a_retry(
    embedded_aws: RecordingAws, selection: str
) -> None:
    """SNS is down; the request fails; the consumer ends; an operator retries the request; SNS returns."""
    async with (
        origin() as images,
        aws_proxy(embedded_aws.endpoint) as proxy,
        system(embedded_aws, endpoint=proxy.endpoint) as running,
        stores_of(running) as stores,
    ):
        outage = SnsOutage()
        proxy.hook = outage.hook
        await running.start_server()
        consumer = await running.start_consumer(DRAIN_GRACE_S="1")
        request_id = await running.submit(f"{images.base}/missing.png")
        ended = (await running.wait_terminal([request_id]))[request_id]
        assert (ended.failure.code, ended.revision) == (pb.FAILURE_CODE_NOT_FOUND, 2)
        consumer.send_signal(signal.SIGTERM)
        await consumer.wait()
        outage.tried.clear()
        operator = await running.start_operator("retry-failed", *selected(selection, request_id))
        await _first_of(outage.tried.wait, operator.wait)
        assert await state_of(stores, request_id) == ("FAILED", "2")
        proxy.hook = pass_on
        assert await operator.wait() == 0
        assert await state_of(stores, request_id) == ("PENDING", "3")
        await stores.notifications([f"{request_id}:2"])
        await running.start_consumer()
        ended = (await running.wait_terminal([request_id]))[request_id]
        assert (ended.failure.code, ended.revision) == (pb.FAILURE_CODE_NOT_FOUND, 4)
        await stores.notifications([f"{request_id}:4"])
        await stores.until_depth(running.stack.queue_url, 0)


async def _first_of(*waits: Callable[[], Awaitable[object]]) -> None:
    tasks = [asyncio.ensure_future(wait()) for wait in waits]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()


@SELECTIONS
async def test_a_failure_that_was_notified_is_notified_again_with_the_same_content(
    embedded_aws: RecordingAws, selection: str
) -> None:
    """Receivers drop a repeat by its id. A failed-requests message is not sent again."""
    async with origin() as images, system(embedded_aws) as running, stores_of(running) as stores:
        await running.start_server()
        await running.start_consumer()
        request_id = await running.submit(f"{images.base}/missing.png")
        (first,) = await stores.notifications([f"{request_id}:2"])
        await stores.until_depth(running.stack.failed_requests_queue_url, 1)
        assert await running.run_operator("retry-failed", *selected(selection, request_id)) == 0
        again = await stores.notifications([f"{request_id}:2", f"{request_id}:4"])
        assert [each for each in again if each.id == first.id] == [first]
        records = await stores.failed_requests(2)
        assert sorted(record["revision"] for record in records) == [2, 4]


async def test_a_request_whose_notification_sns_rejects_stays_failed(
    embedded_aws: RecordingAws,
) -> None:
    """It counts as an error, and the others are reopened."""
    async with (
        aws_proxy(embedded_aws.endpoint) as proxy,
        system(embedded_aws, endpoint=proxy.endpoint) as running,
        stores_of(running) as stores,
    ):
        failures = Failures(running, stores)
        rejected, *others = await failures.add(3, "TIMEOUT", messages=False)

        async def reject(call: ProxiedCall, forward: Forward) -> web.Response:
            if call.operation == "PublishBatch" and rejected.encode() in call.body:
                return web.Response(status=400, text=REJECTION, content_type="text/xml")
            return await forward()

        proxy.hook = reject
        assert await running.run_operator("retry-failed", "--customer", "acme") == 0
        assert await failures.reopened() == set(others)
        assert await state_of(stores, rejected) == ("FAILED", "2")


async def test_a_retry_from_the_queue_publishes_nothing(embedded_aws: RecordingAws) -> None:
    """The failed-requests message was sent after the notification."""
    async with (
        aws_proxy(embedded_aws.endpoint) as proxy,
        system(embedded_aws, endpoint=proxy.endpoint) as running,
        stores_of(running) as stores,
    ):
        failures = Failures(running, stores)
        (request_id,) = await failures.add(1, "TIMEOUT")
        outage = SnsOutage()
        proxy.hook = outage.hook
        assert await running.run_operator("retry-failed") == 0
        assert await failures.reopened() == {request_id}
        assert not outage.calls
