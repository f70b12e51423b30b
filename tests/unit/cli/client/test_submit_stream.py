"""Submits over one stream. A broken stream is reopened, and each URL is still reported once."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterable
from typing import Any, cast

import grpc
import pytest

from cli.client.client import Client, RetriesExhausted, RetryPolicy, SubmitCall, connect
from cli.client.submit_stream import MAX_UNANSWERED_ITEMS, SubmitStream, open_submit_stream
from cli.commands.bulk_submit import BulkSubmit
from cli.output.outcome import PENDING, RequestView
from core.resilience.backoff import Backoff
from harness.scripted_service import (
    Refusal,
    ScriptedService,
    cancelled,
    draining,
    invalid,
    overloaded,
    serve,
)
from harness.virtual_time import run_virtually
from imageservice.v1 import image_service_pb2 as pb

COMMON = pb.SubmitImageRequest(customer_id="acme")
QUICK = RetryPolicy(backoff=Backoff(0.001, 0.01))


async def each(urls: Iterable[str]) -> AsyncIterator[str]:
    for url in urls:
        yield url


def numbered(count: int) -> list[str]:
    return [f"http://origin/{number}.png" for number in range(count)]


def new_id() -> str:
    return str(uuid.uuid4())


async def submit(
    address: str, urls: Iterable[str], retry: RetryPolicy = QUICK
) -> tuple[BulkSubmit, list[RequestView]]:
    reported: list[RequestView] = []
    async with connect(address, retry) as client, open_submit_stream(client) as stream:
        submission = BulkSubmit(
            client, COMMON, reported.append, submits=stream, at_once=MAX_UNANSWERED_ITEMS
        )
        await submission.run(each(urls))
    return submission, reported


async def test_all_urls_are_submitted_over_one_stream() -> None:
    """Each URL is reported once as PENDING with its own id."""
    service = ScriptedService()
    async with serve(service) as address:
        _, reported = await submit(address, numbered(600))
    assert sorted(outcome.url for outcome in reported) == sorted(numbered(600))
    assert {outcome.state for outcome in reported} == {PENDING}
    assert service.submitted == {outcome.request_id: outcome.url for outcome in reported}
    assert service.opened == 1


@pytest.mark.parametrize(
    "end",
    [draining(), cancelled(), Refusal(grpc.StatusCode.UNAVAILABLE, "Socket closed"), None],
)
async def test_a_broken_stream_is_resumed(end: Refusal | None) -> None:
    """Unanswered items are sent again with the same ids. Each URL is accepted and reported once."""
    service = ScriptedService(streams=[(40, end), (0, end), (100, end)])
    async with serve(service) as address:
        submission, reported = await submit(address, numbered(300))
    assert sorted(outcome.url for outcome in reported) == sorted(numbered(300))
    assert service.submitted == {outcome.request_id: outcome.url for outcome in reported}
    assert service.opened == 4
    assert submission.stats.errors == 0


async def test_one_refused_item_does_not_stop_the_others() -> None:
    """It is reported with its reason and field, as for a single submit."""
    service = ScriptedService(refusals={"ftp://x": [invalid("url", "Must be http or https.")]})
    async with serve(service) as address:
        submission, reported = await submit(address, ["ftp://x", *numbered(20)])
    (fault,) = (outcome.error for outcome in reported if outcome.error)
    assert fault.sentence() == "INVALID_REQUEST: url: Must be http or https."
    assert fault.code == "INVALID_ARGUMENT"
    assert (submission.stats.submitted, submission.stats.errors) == (20, 1)
    assert service.submits["ftp://x"] == 1


async def test_an_overloaded_item_is_retried() -> None:
    """After the delay that the server asks for."""
    url = "http://origin/7.png"
    service = ScriptedService(refusals={url: [overloaded(), overloaded(retry_after_ms=20)]})
    async with serve(service) as address:
        submission, reported = await submit(address, numbered(10))
    assert len(reported) == submission.stats.submitted == 10
    assert service.submits[url] == 3
    assert service.opened == 1


async def test_attempts_of_an_item_are_bounded() -> None:
    """If an item stays overloaded, it fails after as many attempts as a single submit."""
    url = "http://origin/7.png"
    service = ScriptedService(refusals={url: [overloaded()] * (QUICK.attempts + 1)})
    async with serve(service) as address:
        _, reported = await submit(address, numbered(10))
    assert [outcome.url for outcome in reported if outcome.error] == [url]
    assert service.submits[url] == QUICK.attempts


async def test_an_unreachable_server_ends_the_submission() -> None:
    """After the last attempt no further URL is read, and each URL that was read is reported with the error."""
    submission, reported = await submit("127.0.0.1:1", numbered(100_000))
    assert submission.server_unreachable is not None
    assert submission.stats.read == len(reported) <= 2 * MAX_UNANSWERED_ITEMS
    assert {outcome.error.reason for outcome in reported if outcome.error} == {"UNAVAILABLE"}


async def test_a_server_that_answered_before_is_waited_for() -> None:
    """The stream is resumed even if the server is away for longer than all attempts of a call take."""
    retry = RetryPolicy(attempts=1, backoff=Backoff(0.001, 0.01))
    service = ScriptedService(streams=[(5, draining()), *[(0, draining())] * 5])
    async with serve(service) as address:
        submission, reported = await submit(address, numbered(50), retry)
    assert len(reported) == submission.stats.submitted == 50
    assert service.opened == 7


async def test_an_interrupted_submission_reports_the_ids() -> None:
    """A submission that is cancelled while it reads and watches reports acknowledged and in-flight ids."""
    reported: list[RequestView] = []
    service = ScriptedService(watches_released=asyncio.Event(), streams=[(3, draining())])

    async def endless() -> AsyncIterator[str]:
        for url in numbered(3):
            yield url
        await service.watching.wait()
        yield "http://origin/3.png"
        await asyncio.Event().wait()

    retry = RetryPolicy(backoff=Backoff(3_600, 3_600))
    async with (
        serve(service) as address,
        connect(address, retry) as client,
        open_submit_stream(client) as stream,
    ):
        submission = BulkSubmit(client, COMMON, reported.append, submits=stream, watch=True)
        running = asyncio.create_task(submission.run(endless()))
        # The server counts the fourth item before the client has read the response to the third.
        while len(service.submitted) < 4 or submission.stats.submitted < 3:  # noqa: ASYNC110  neither has an Event
            await asyncio.sleep(0)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
    assert {outcome.request_id: outcome.url for outcome in reported} == service.submitted
    assert [outcome.error.code for outcome in reported if outcome.error] == ["CANCELLED"]


class BrokenClient(Client):
    """A client that fails to open a stream."""

    def __init__(self, fault: BaseException) -> None:
        super().__init__(cast("Any", None), "nowhere", QUICK)
        self.fault = fault

    def open_submit_stream_call(self) -> SubmitCall:
        raise self.fault


@pytest.mark.parametrize(
    ("fault", "raised"),
    [(RuntimeError("a fault"), RuntimeError), (asyncio.CancelledError(), RetriesExhausted)],
    ids=["an error", "a cancelled call"],
)
def test_an_unexpected_error_reaches_every_caller(
    fault: BaseException, raised: type[Exception]
) -> None:
    """Callers that wait for a response and callers that come later get the error that ended the stream."""

    async def scenario() -> None:
        stream = SubmitStream(BrokenClient(fault))
        waiting = asyncio.create_task(
            stream.submit(pb.SubmitImageRequest(url="http://origin/1.png", request_id=new_id()))
        )
        with pytest.raises(type(fault)):
            await stream.run()
        with pytest.raises(raised):
            await waiting
        with pytest.raises(raised):
            await stream.submit(
                pb.SubmitImageRequest(url="http://origin/2.png", request_id=new_id())
            )

    run_virtually(scenario())
