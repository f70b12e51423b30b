"""A submission has bounded concurrency, reports one outcome per URL, and stops if no server answers."""

import asyncio
from collections.abc import AsyncIterator, Iterable

import pytest

from cli.client.client import MAX_WATCHED_IDS, RetryPolicy, connect
from cli.client.submit_stream import open_submit_stream
from cli.commands.bulk_submit import MAX_CONCURRENT_SUBMITS, BulkSubmit
from cli.errors import OutputClosed, UsageError
from cli.output.outcome import COMPLETED, FAILED, PENDING, RequestView
from core.resilience.backoff import Backoff
from harness.scripted_service import ScriptedService, failed, invalid, serve
from imageservice.v1 import image_service_pb2 as pb

COMMON = pb.SubmitImageRequest(customer_id="acme")


async def each(urls: Iterable[str]) -> AsyncIterator[str]:
    for url in urls:
        yield url


async def submit(
    service: ScriptedService,
    urls: Iterable[str],
    *,
    watch: bool = False,
    request_id: str | None = None,
) -> tuple[BulkSubmit, list[RequestView]]:
    reported: list[RequestView] = []
    async with serve(service) as address, connect(address) as client:
        submission = BulkSubmit(client, COMMON, reported.append, request_id=request_id, watch=watch)
        await submission.run(each(urls))
    return submission, reported


def numbered(count: int) -> list[str]:
    return [f"http://origin/{number}.png" for number in range(count)]


async def test_each_url_is_reported_once() -> None:
    """Without a watch each URL is reported as PENDING with its own id. Concurrency is bounded."""
    service = ScriptedService()
    _, reported = await submit(service, numbered(300))
    assert sorted(outcome.url for outcome in reported) == sorted(numbered(300))
    assert len({outcome.request_id for outcome in reported}) == 300
    assert {outcome.state for outcome in reported} == {PENDING}
    assert service.most_at_once <= MAX_CONCURRENT_SUBMITS


async def test_a_watched_submission_reports_final_states() -> None:
    """With a watch each URL is reported once with its final state. A watch has at most 100 ids."""
    service = ScriptedService(final_states={"http://origin/7.png": failed("http://origin/7.png")})
    submission, reported = await submit(service, numbered(500), watch=True)
    ends = {outcome.url: outcome.state for outcome in reported}
    assert ends == dict.fromkeys(numbered(500), COMPLETED) | {"http://origin/7.png": FAILED}
    assert len(reported) == 500
    assert max(map(len, service.watched)) <= MAX_WATCHED_IDS
    assert submission.stats.errors == 1


@pytest.mark.parametrize("by_stream", [False, True], ids=["by calls", "by a stream"])
async def test_each_request_has_all_labels(by_stream: bool) -> None:
    """With single calls and with a stream."""
    labels, service = {"set": "logos", "year": "2026"}, ScriptedService()
    async with (
        serve(service) as address,
        connect(address) as client,
        open_submit_stream(client) as stream,
    ):
        submission = BulkSubmit(
            client, pb.SubmitImageRequest(customer_id="acme", labels=labels), lambda _: None
        )
        if by_stream:
            submission.submits = stream
        await submission.run(each(numbered(3)))
    assert list(service.labels.values()) == [labels] * 3


async def test_a_refused_url_does_not_stop_the_others() -> None:
    """It is reported with its reason."""
    refusal = invalid("url", "Must be http or https.")
    service = ScriptedService(refusals={"ftp://x": [refusal]})
    submission, reported = await submit(service, ["ftp://x", "http://origin/1.png"], watch=True)
    by_url = {outcome.url: outcome for outcome in reported}
    error = by_url["ftp://x"].error
    assert error is not None
    assert error.reason == "INVALID_REQUEST"
    assert by_url["http://origin/1.png"].state == COMPLETED
    assert (submission.stats.submitted, submission.stats.errors) == (1, 1)


@pytest.mark.parametrize("watch", [False, True])
async def test_a_repeated_id_reports_the_final_state(watch: bool) -> None:
    """If the request of the id has ended, it is reported with its public URL, with or without a watch."""
    url, request_id = "http://origin/1.png", "6d2f0c1e-3a5b-4a53-9a35-0a4d8f0c2a11"
    service = ScriptedService(submitted={request_id: url})
    _, reported = await submit(service, [url], request_id=request_id, watch=watch)
    assert [(o.request_id, o.state, o.public_url) for o in reported] == [
        (request_id, COMPLETED, "http://cdn/images/aa/tag/0123.png")
    ]


async def test_a_refused_watch_is_reported_for_each_url() -> None:
    """With the reason."""
    service = ScriptedService(watches=[([], invalid("request_ids", "No."))] * 3)
    _, reported = await submit(service, numbered(3), watch=True)
    assert len(reported) == 3
    assert {outcome.state for outcome in reported} == {PENDING}
    assert {outcome.error.reason for outcome in reported if outcome.error} == {"INVALID_REQUEST"}


async def test_an_unreachable_server_ends_the_submission() -> None:
    """After the last attempt no further URL is read."""
    reported: list[RequestView] = []
    async with connect("127.0.0.1:1", RetryPolicy(backoff=Backoff(0.001, 8.0))) as client:
        submission = BulkSubmit(client, COMMON, reported.append)
        await submission.run(each(numbered(100_000)))
    assert submission.server_unreachable is not None
    assert submission.stats.read == len(reported) <= 2 * MAX_CONCURRENT_SUBMITS
    assert {outcome.error.reason for outcome in reported if outcome.error} == {"UNAVAILABLE"}


async def test_a_source_that_fails() -> None:
    """If reading URLs fails, the previous URLs are submitted and reported, and the error is kept."""

    async def broken() -> AsyncIterator[str]:
        for url in numbered(50):
            yield url
        raise UsageError("line 51 is not UTF-8")

    reported: list[RequestView] = []
    async with serve(ScriptedService()) as address, connect(address) as client:
        submission = BulkSubmit(client, COMMON, reported.append)
        await submission.run(broken())
    assert len(reported) == submission.stats.submitted == 50
    assert str(submission.source_error) == "line 51 is not UTF-8"
    assert submission.stats.progress_summary == "stopped after 50 URLs, 50 submitted"


async def test_an_interrupted_watch_reports_the_ids() -> None:
    """A submission that is cancelled while it reads and watches reports the acknowledged requests."""
    reported: list[RequestView] = []
    service = ScriptedService(watches_released=asyncio.Event())

    async def endless() -> AsyncIterator[str]:
        yield "http://origin/1.png"
        await asyncio.Event().wait()

    async with serve(service) as address, connect(address) as client:
        submission = BulkSubmit(client, COMMON, reported.append, watch=True)
        running = asyncio.create_task(submission.run(endless()))
        await service.watching.wait()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
    assert [(o.request_id, o.state, o.url) for o in reported] == [
        (request_id, PENDING, url) for request_id, url in service.submitted.items()
    ]
    assert submission.stats.progress_summary == "stopped after 1 URL, 1 submitted"


async def test_closed_output_ends_the_submission() -> None:
    """If an outcome cannot be written, the run ends with that error only."""

    def closed(outcome: RequestView) -> None:
        raise OutputClosed(outcome.url)

    async with serve(ScriptedService()) as address, connect(address) as client:
        submission = BulkSubmit(client, COMMON, closed, watch=True)
        with pytest.raises(BaseExceptionGroup) as raised:
            await submission.run(each(numbered(300)))
    assert raised.value.split(OutputClosed)[1] is None
