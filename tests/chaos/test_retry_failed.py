"""The requests that retry-failed reopens, those that it leaves FAILED, and interrupted runs."""

import asyncio
import json
import signal
import uuid
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from aiohttp import web

from core.model.request import Failure
from core.runtime.clock import now_ms
from harness.aws import RecordingAws
from harness.aws_proxy import Forward, Hook, ProxiedCall, Unreachable, aws_proxy, pass_on
from harness.failures import Failures
from harness.origin import numbered_png, origin
from harness.orphaned_requests import row_of
from harness.stores import stores_of
from harness.system import system
from harness.tables import tables_of
from imageservice.v1 import image_service_pb2 as pb

HOUR_MS = 3_600_000


@pytest.fixture
async def failures(embedded_aws: RecordingAws) -> AsyncIterator[Failures]:
    async with system(embedded_aws) as running, stores_of(running) as stores:
        yield Failures(running, stores)


async def test_messages_with_another_code_are_left_to_the_next_run(failures: Failures) -> None:
    """One run by code, then one by another code: each releases the messages that it skips."""
    dns = await failures.add(12, "DNS_FAILED")
    timeouts = await failures.add(13, "TIMEOUT")
    first = await failures.retry_failed("--failure-code", "timeout")
    assert first.out == (
        "25 examined, 13 reopened, 12 with another failure code, 0 no longer FAILED\n"
    ), first.err
    assert await failures.reopened() == set(timeouts)
    second = await failures.retry_failed("--failure-code", "DNS_FAILED")
    assert second.out.startswith("12 examined, 12 reopened, 0 with another failure code"), (
        second.err
    )
    assert await failures.reopened(but=timeouts) == set(dns)
    assert await failures.visible_messages() == []


async def test_the_failures_of_one_customer_come_from_the_index(failures: Failures) -> None:
    """By code and time, more than one page of a query, without messages; of no other customer, and none twice."""
    failures = replace(failures, shards=1)
    mine = await failures.add(530, "TIMEOUT", messages=False)
    await failures.add(3, "TIMEOUT", age_ms=2 * HOUR_MS, messages=False)
    await failures.add(5, "NOT_FOUND", messages=False)
    await failures.add(4, "TIMEOUT", customer="other", messages=False)
    options = ("--customer", "acme", "--failure-code", "TIMEOUT", "--rate", "100000")
    recent = await failures.retry_failed(*options, "--since", _hour_ago())
    assert recent.out == (
        "535 examined, 530 reopened, 5 with another failure code, 0 no longer FAILED\n"
    ), recent.err
    assert await failures.reopened() == set(mine)
    all_of_them = await failures.retry_failed(*options, "--since", "2001-01-01")
    assert all_of_them.out.startswith("8 examined, 3 reopened, 5 with another failure code"), (
        all_of_them.err
    )
    again = await failures.retry_failed(*options)
    assert again.out.startswith("5 examined, 0 reopened, 5 with another failure code"), again.err


def _hour_ago() -> str:
    return (datetime.now(UTC) - timedelta(hours=1)).isoformat()


async def test_the_message_of_a_request_that_was_reopened_by_id_reopens_nothing(
    embedded_aws: RecordingAws,
) -> None:
    """The message has an older revision than the COMPLETED request, and is deleted."""
    async with origin() as images, system(embedded_aws) as running, stores_of(running) as stores:
        await running.start_server()
        await running.start_consumer()
        request_id = await running.submit(f"{images.base}/late.png")
        await running.wait_terminal([request_id])
        await stores.until_depth(running.stack.failed_requests_queue_url, 1)
        images.serve_body("/late.png", numbered_png(1))
        assert await running.run_operator("retry-failed", "--request-id", request_id) == 0
        states = await running.wait_terminal([request_id])
        assert (states[request_id].state, states[request_id].revision) == (pb.STATE_COMPLETED, 4)
        hits = images.hits["/late.png"]
        assert await stores.depth(running.stack.failed_requests_queue_url) == 1
        assert await running.run_operator("retry-failed") == 0
        assert await stores.depth(running.stack.failed_requests_queue_url) == 0
        assert await stores.depth(running.stack.bulk_queue_url) == 0
        assert (await row_of(stores, request_id))["revision"]["N"] == "4"
        assert images.hits["/late.png"] == hits


async def test_a_request_with_two_messages_is_retried_once(embedded_aws: RecordingAws) -> None:
    """The second message has an older revision than the request."""
    async with origin() as images, system(embedded_aws) as running, stores_of(running) as stores:
        await running.start_server()
        await running.start_consumer()
        request_id = await running.submit(f"{images.base}/late.png")
        states = await running.wait_terminal([request_id])
        assert states[request_id].failure.code == pb.FAILURE_CODE_NOT_FOUND
        images.serve_body("/late.png", numbered_png(1))
        (failed,) = await stores.failed_requests(1)
        for _ in range(2):
            await stores.sqs.send_message(
                QueueUrl=running.stack.failed_requests_queue_url, MessageBody=json.dumps(failed)
            )
        assert await running.run_operator("retry-failed") == 0
        states = await running.wait_terminal([request_id])
        assert (states[request_id].state, states[request_id].revision) == (pb.STATE_COMPLETED, 4)


async def test_a_request_that_fails_again_at_once_is_retried_once(
    embedded_aws: RecordingAws,
) -> None:
    """Messages that arrive during a run are left to the next one."""
    async with origin() as images, system(embedded_aws) as running, stores_of(running) as stores:
        await running.start_server()
        await running.start_consumer()
        request_id = await running.submit(f"{images.base}/never.png")
        await stores.notifications([f"{request_id}:2"])
        # The failed-requests message follows the notification.
        await stores.until_depth(running.stack.failed_requests_queue_url, 1)
        assert await running.run_operator("retry-failed") == 0
        await stores.notifications([f"{request_id}:4"])
        assert images.hits["/never.png"] == 2


async def test_the_message_of_an_earlier_failure_reopens_nothing(failures: Failures) -> None:
    """The request has failed again since, at a later revision."""
    (request_id,) = await failures.add(1, "TIMEOUT")
    await failures.retry_failed("--customer", "acme")
    async with tables_of(
        failures.running.aws.environment("tests"), failures.running.stack
    ) as tables:
        again = tables.statements.fail(
            request_id, 3, customer_id="acme", failure=Failure("TIMEOUT", "again"), now=now_ms()
        )
        await tables.write(again)
    ran = await failures.retry_failed()
    assert ran.out.startswith(
        "1 examined, 0 reopened, 0 with another failure code, 1 no longer FAILED"
    ), ran.err
    row = await row_of(failures.stores, request_id)
    assert (row["status"]["S"], row["revision"]["N"]) == ("FAILED", "4")


async def test_requests_by_id(failures: Failures) -> None:
    """FAILED requests of any customer are reopened. An id without a request is reported, with exit status 1."""
    (one,), (other,) = (
        await failures.add(1, "TIMEOUT", messages=False),
        await failures.add(1, "NOT_FOUND", customer="other", messages=False),
    )
    unknown = str(uuid.uuid4())
    named = ("--request-id", one.upper(), "--request-id", unknown, "--request-id", other)
    ran = await failures.retry_failed(*named)
    assert ran.out.startswith("2 examined, 2 reopened"), ran.err
    assert (ran.err, ran.code) == (
        f"retry-failed: request {unknown} does not exist or cannot be read\n",
        1,
    )
    assert await failures.reopened() == {one, other}


async def test_messages_of_a_later_version_and_of_another_shape(failures: Failures) -> None:
    """An unknown member is ignored. A message of another shape stays in the queue, for an operator to read."""
    (request_id,) = await failures.add(1, "TIMEOUT", messages=False)
    row = await row_of(failures.stores, request_id)
    later = {
        "request_id": request_id,
        "customer_id": "acme",
        "url": row["originUrl"]["S"],
        "revision": 2,
        "failure_code": "TIMEOUT",
        "failure_message": "it failed",
        "of_a_later_version": True,
    }
    await failures.send_failed_request(json.dumps(later))
    await failures.send_failed_request('{"request_id": "none of ours"}')
    ran = await failures.retry_failed()
    assert ran.out == (
        "2 examined, 1 reopened, 0 with another failure code, 0 no longer FAILED, 1 with errors (see the log)\n"
    ), ran.err
    assert await failures.reopened() == {request_id}
    assert await failures.visible_messages() == ["none of ours"]


@pytest.mark.parametrize("by_queue", [True, False], ids=["queue", "index"])
async def test_an_interrupted_run_sends_what_it_has_reopened(
    embedded_aws: RecordingAws, *, by_queue: bool
) -> None:
    """Requests in progress are finished. The rest stay FAILED, and the next run retries them."""
    reopening, over = asyncio.Event(), asyncio.Event()

    async def hold(call: ProxiedCall, forward: Forward) -> web.Response:
        answer = await forward()
        if call.operation == "UpdateItem":
            reopening.set()
            await over.wait()
        return answer

    async with (
        aws_proxy(embedded_aws.endpoint) as proxy,
        system(embedded_aws, endpoint=proxy.endpoint) as running,
        stores_of(running) as stores,
    ):
        failures = Failures(running, stores)
        ids = await failures.add(120, "TIMEOUT")
        proxy.hook = hold
        options = () if by_queue else ("--customer", "acme")
        process = await running.start_operator("retry-failed", *options)
        await reopening.wait()
        process.send_signal(signal.SIGTERM)
        # It waits for the requests in progress, which now continue.
        over.set()
        assert await process.wait() == 128 + signal.SIGTERM
        first = await failures.reopened()
        assert 0 < len(first) < 120
        proxy.hook = pass_on
        assert await running.run_operator("retry-failed", "--customer", "acme") == 0
        assert await failures.reopened(but=first) == set(ids) - first


async def test_a_request_that_was_reopened_and_not_sent_is_sent_by_id(
    embedded_aws: RecordingAws,
) -> None:
    """A kill between the two writes leaves the request PENDING, without a message."""
    async with (
        aws_proxy(embedded_aws.endpoint) as proxy,
        system(embedded_aws, endpoint=proxy.endpoint) as running,
        stores_of(running) as stores,
    ):
        failures = Failures(running, stores)
        (request_id,) = await failures.add(1, "TIMEOUT", messages=False)
        sending = asyncio.Event()
        proxy.hook = block_sends(sending)
        process = await running.start_operator("retry-failed", "--request-id", request_id)
        await sending.wait()
        process.kill()
        await process.wait()
        assert (await row_of(stores, request_id))["status"]["S"] == "PENDING"
        assert await stores.depth(running.stack.bulk_queue_url) == 0
        proxy.hook = pass_on
        assert await running.run_operator("retry-failed", "--request-id", request_id) == 0
        assert await failures.reopened() == {request_id}


def block_sends(tried: asyncio.Event) -> Hook:
    async def hook(call: ProxiedCall, forward: Forward) -> web.Response:
        if call.operation == "SendMessageBatch":
            tried.set()
            raise Unreachable
        return await forward()

    return hook
