"""What a redrive reopens, what it leaves, and what an interruption costs."""

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

HOUR_MS = 3_600_000


@pytest.fixture
async def failures(embedded_aws: RecordingAws) -> AsyncIterator[Failures]:
    async with system(embedded_aws) as running, stores_of(running) as stores:
        yield Failures(running, stores)


async def test_letters_of_another_code_are_there_for_the_next_redrive(failures: Failures) -> None:
    """One by code, then one by another code: neither hides from the other what it passed over."""
    dns = await failures.add(12, "DNS_FAILED")
    timeouts = await failures.add(13, "TIMEOUT")
    first = await failures.redrive("--failure-code", "timeout")
    assert first.out == (
        "25 looked at, 13 reopened, 12 of another code, 0 not FAILED any more\n"
    ), first.err
    assert await failures.reopened() == set(timeouts)
    second = await failures.redrive("--failure-code", "DNS_FAILED")
    assert second.out.startswith("12 looked at, 12 reopened, 0 of another code"), second.err
    assert await failures.reopened(but=timeouts) == set(dns)
    assert await failures.visible_letters() == []


async def test_one_customers_failures_are_reopened_out_of_the_index(failures: Failures) -> None:
    """More than a query's page of them, by code and time, without a letter; nobody else's, and none twice."""
    failures = replace(failures, shards=1)
    mine = await failures.add(530, "TIMEOUT", letters=False)
    await failures.add(3, "TIMEOUT", age_ms=2 * HOUR_MS, letters=False)
    await failures.add(5, "NOT_FOUND", letters=False)
    await failures.add(4, "TIMEOUT", customer="other", letters=False)
    asked = ("--customer", "acme", "--failure-code", "TIMEOUT", "--rate", "100000")
    recent = await failures.redrive(*asked, "--since", _hour_ago())
    assert recent.out == (
        "535 looked at, 530 reopened, 5 of another code, 0 not FAILED any more\n"
    ), recent.err
    assert await failures.reopened() == set(mine)
    all_of_them = await failures.redrive(*asked, "--since", "2001-01-01")
    assert all_of_them.out.startswith("8 looked at, 3 reopened, 5 of another code"), all_of_them.err
    again = await failures.redrive(*asked)
    assert again.out.startswith("5 looked at, 0 reopened, 5 of another code"), again.err


def _hour_ago() -> str:
    return (datetime.now(UTC) - timedelta(hours=1)).isoformat()


async def test_a_letter_of_a_request_that_was_reopened_otherwise_reopens_nothing(
    embedded_aws: RecordingAws,
) -> None:
    """Not while it is processed anew, nor after it is COMPLETED: the letter is of an older revision, and goes."""
    async with origin() as images, system(embedded_aws) as running, stores_of(running) as stores:
        await running.start_server()
        await running.start_consumer()
        request_id = await running.submit(f"{images.base}/late.png")
        await running.wait_terminal([request_id])
        await stores.until_depth(running.stack.failed_requests_queue_url, 1)
        images.serve_body("/late.png", numbered_png(1))
        assert await running.run_operator("redrive", "--request-id", request_id) == 0
        states = await running.wait_terminal([request_id])
        assert (states[request_id].state, states[request_id].revision) == (2, 4)
        hits = images.hits["/late.png"]
        assert await stores.depth(running.stack.failed_requests_queue_url) == 1
        assert await running.run_operator("redrive") == 0
        assert await stores.depth(running.stack.failed_requests_queue_url) == 0
        assert await stores.depth(running.stack.queue_url) == 0
        assert (await row_of(stores, request_id))["revision"]["N"] == "4"
        assert images.hits["/late.png"] == hits


async def test_a_letter_of_a_request_that_failed_again_reopens_nothing(failures: Failures) -> None:
    """It speaks of the failure before."""
    (request_id,) = await failures.add(1, "TIMEOUT")
    await failures.redrive("--customer", "acme")
    async with tables_of(
        failures.running.aws.environment("tests"), failures.running.stack
    ) as tables:
        again = tables.statements.fail(
            request_id, 3, customer_id="acme", failure=Failure("TIMEOUT", "again"), now=now_ms()
        )
        await tables.write(again)
    ran = await failures.redrive()
    assert ran.out.startswith("1 looked at, 0 reopened, 0 of another code, 1 not FAILED"), ran.err
    row = await row_of(failures.stores, request_id)
    assert (row["status"]["S"], row["revision"]["N"]) == ("FAILED", "4")


async def test_requests_that_are_named(failures: Failures) -> None:
    """Those that FAILED are reopened, whosoever they are; one that does not exist is told, and makes exit 1."""
    (one,), (other,) = (
        await failures.add(1, "TIMEOUT", letters=False),
        await failures.add(1, "NOT_FOUND", customer="other", letters=False),
    )
    unknown = str(uuid.uuid4())
    named = ("--request-id", one.upper(), "--request-id", unknown, "--request-id", other)
    ran = await failures.redrive(*named)
    assert ran.out.startswith("2 looked at, 2 reopened"), ran.err
    assert (ran.err, ran.code) == (
        f"redrive: there is no request {unknown}, or none to be read\n",
        1,
    )
    assert await failures.reopened() == {one, other}


async def test_letters_of_a_later_version_and_of_nobody(failures: Failures) -> None:
    """A member more keeps no letter from being read; one that is none of ours stays, and can be looked at."""
    (request_id,) = await failures.add(1, "TIMEOUT", letters=False)
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
    await failures.letter(json.dumps(later))
    await failures.letter('{"request_id": "none of ours"}')
    ran = await failures.redrive()
    assert ran.out == (
        "2 looked at, 1 reopened, 0 of another code, 0 not FAILED any more, 1 at fault, see the log\n"
    ), ran.err
    assert await failures.reopened() == {request_id}
    assert await failures.visible_letters() == ["none of ours"]


@pytest.mark.parametrize("by_letters", [True, False], ids=["letters", "index"])
async def test_a_redrive_that_is_told_to_end_sends_what_it_has_reopened(
    embedded_aws: RecordingAws, *, by_letters: bool
) -> None:
    """What is under way is finished, the rest is left FAILED, and the next redrive does it."""
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
        asked = () if by_letters else ("--customer", "acme")
        process = await running.start_operator("redrive", *asked)
        await reopening.wait()
        process.send_signal(signal.SIGTERM)
        # It waits for what is under way, which now goes on.
        over.set()
        async with asyncio.timeout(12):
            assert await process.wait() == 128 + signal.SIGTERM
        first = await failures.reopened()
        assert 0 < len(first) < 120
        proxy.hook = pass_on
        assert await running.run_operator("redrive", "--customer", "acme") == 0
        assert await failures.reopened(but=first) == set(ids) - first


async def test_what_was_reopened_and_not_sent_is_sent_when_it_is_named(
    embedded_aws: RecordingAws,
) -> None:
    """As after a kill between the two: it is PENDING, and no message speaks of it."""
    async with (
        aws_proxy(embedded_aws.endpoint) as proxy,
        system(embedded_aws, endpoint=proxy.endpoint) as running,
        stores_of(running) as stores,
    ):
        failures = Failures(running, stores)
        (request_id,) = await failures.add(1, "TIMEOUT", letters=False)
        sending = asyncio.Event()
        proxy.hook = sends_do_not_pass(sending)
        process = await running.start_operator("redrive", "--request-id", request_id)
        await sending.wait()
        process.kill()
        await process.wait()
        assert (await row_of(stores, request_id))["status"]["S"] == "PENDING"
        assert await stores.depth(running.stack.queue_url) == 0
        proxy.hook = pass_on
        assert await running.run_operator("redrive", "--request-id", request_id) == 0
        assert await failures.reopened() == {request_id}


def sends_do_not_pass(tried: asyncio.Event) -> Hook:
    async def hook(call: ProxiedCall, forward: Forward) -> web.Response:
        if call.operation == "SendMessageBatch":
            tried.set()
            raise Unreachable
        return await forward()

    return hook
