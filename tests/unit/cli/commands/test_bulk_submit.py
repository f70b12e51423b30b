"""A submission is bounded, tells one outcome for each URL, and stops where nobody answers."""

import asyncio
from collections.abc import AsyncIterator, Iterable

import pytest

from cli.client.client import MAX_WATCHED_IDS, connect
from cli.client.retry import RetryPolicy
from cli.client.submit_stream import open_submit_stream
from cli.commands.bulk_submit import MAX_CONCURRENT_SUBMITS, BulkSubmit
from cli.errors import OutputClosed, UsageError
from cli.output.outcome import COMPLETED, FAILED, PENDING, RequestView
from core.resilience.backoff import Backoff
from harness.scripted_service import ScriptedService, failed, invalid, serving


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
    async with serving(service) as address, connect(address) as client:
        submission = BulkSubmit(client, "acme", reported.append, request_id=request_id, watch=watch)
        await submission.run(each(urls))
    return submission, reported


def numbered(count: int) -> list[str]:
    return [f"http://origin/{number}.png" for number in range(count)]


async def test_each_url_is_told_once() -> None:
    """Without a watch each URL is told as PENDING, under an id of its own, with bounded work under way."""
    service = ScriptedService()
    _, reported = await submit(service, numbered(300))
    assert sorted(outcome.url for outcome in reported) == sorted(numbered(300))
    assert len({outcome.request_id for outcome in reported}) == 300
    assert {outcome.state for outcome in reported} == {PENDING}
    assert service.most_at_once <= MAX_CONCURRENT_SUBMITS


async def test_a_watched_submission_tells_ends() -> None:
    """With a watch each URL is told once, as it ended, by streams of at most 100 ids."""
    service = ScriptedService(ends={"http://origin/7.png": failed("http://origin/7.png")})
    submission, reported = await submit(service, numbered(500), watch=True)
    ends = {outcome.url: outcome.state for outcome in reported}
    assert ends == dict.fromkeys(numbered(500), COMPLETED) | {"http://origin/7.png": FAILED}
    assert len(reported) == 500
    assert max(map(len, service.watched)) <= MAX_WATCHED_IDS
    assert submission.tally.is_error == 1


@pytest.mark.parametrize("by_stream", [False, True], ids=["by calls", "by a stream"])
async def test_labels_go_with_each(by_stream: bool) -> None:
    """Each request is submitted with all labels, whichever way it goes."""
    labels, service = {"set": "logos", "year": "2026"}, ScriptedService()
    async with (
        serving(service) as address,
        connect(address) as client,
        open_submit_stream(client) as stream,
    ):
        submission = BulkSubmit(client, "acme", lambda _: None, labels=labels)
        if by_stream:
            submission.submits = stream
        await submission.run(each(numbered(3)))
    assert list(service.labels.values()) == [labels] * 3


async def test_a_refused_url_does_not_stop_the_others() -> None:
    """What is refused is told with its reason; the rest goes on."""
    refusal = invalid("url", "Must be http or https.")
    service = ScriptedService(refusals={"ftp://x": [refusal]})
    submission, reported = await submit(service, ["ftp://x", "http://origin/1.png"], watch=True)
    by_url = {outcome.url: outcome for outcome in reported}
    error = by_url["ftp://x"].error
    assert error is not None
    assert error.reason == "INVALID_REQUEST"
    assert by_url["http://origin/1.png"].state == COMPLETED
    assert (submission.tally.submitted, submission.tally.is_error) == (1, 1)


@pytest.mark.parametrize("watch", [False, True])
async def test_a_repeated_id_tells_how_it_ended(watch: bool) -> None:
    """An id whose request has ended is told with its public URL, watched or not."""
    url, request_id = "http://origin/1.png", "6d2f0c1e-3a5b-4a53-9a35-0a4d8f0c2a11"
    service = ScriptedService(submitted={request_id: url})
    _, reported = await submit(service, [url], request_id=request_id, watch=watch)
    assert [(o.request_id, o.state, o.public_url) for o in reported] == [
        (request_id, COMPLETED, "http://cdn/images/aa/tag/0123.png")
    ]


async def test_a_watch_that_is_refused_is_told_for_each() -> None:
    """When the watch itself is refused, each URL in it is told with the reason."""
    service = ScriptedService(watches=[([], invalid("request_ids", "No."))] * 3)
    _, reported = await submit(service, numbered(3), watch=True)
    assert len(reported) == 3
    assert {outcome.state for outcome in reported} == {PENDING}
    assert {outcome.error.reason for outcome in reported if outcome.error} == {"INVALID_REQUEST"}


async def test_nobody_answers() -> None:
    """When no server answers after all attempts, no further URL is read."""
    reported: list[RequestView] = []
    async with connect("127.0.0.1:1", RetryPolicy(backoff=Backoff(0.001, 8.0))) as client:
        submission = BulkSubmit(client, "acme", reported.append)
        await submission.run(each(numbered(100_000)))
    assert submission.server_unreachable is not None
    assert submission.tally.read == len(reported) <= 2 * MAX_CONCURRENT_SUBMITS
    assert {outcome.error.reason for outcome in reported if outcome.error} == {"UNAVAILABLE"}


async def test_a_source_that_breaks_off() -> None:
    """When the URLs cannot be read on, those before are submitted and told, and the fault is kept."""

    async def broken() -> AsyncIterator[str]:
        for url in numbered(50):
            yield url
        raise UsageError("line 51 is not UTF-8")

    reported: list[RequestView] = []
    async with serving(ScriptedService()) as address, connect(address) as client:
        submission = BulkSubmit(client, "acme", reported.append)
        await submission.run(broken())
    assert len(reported) == submission.tally.submitted == 50
    assert str(submission.source_error) == "line 51 is not UTF-8"
    assert submission.tally.progress_summary == "stopped after 50 URLs, 50 submitted"


async def test_an_interrupted_watch_tells_the_ids() -> None:
    """Cancelled while it reads and watches, a submission still tells what was acknowledged."""
    reported: list[RequestView] = []
    service = ScriptedService(held=asyncio.Event())

    async def endless() -> AsyncIterator[str]:
        yield "http://origin/1.png"
        await asyncio.Event().wait()

    async with serving(service) as address, connect(address) as client:
        submission = BulkSubmit(client, "acme", reported.append, watch=True)
        running = asyncio.create_task(submission.run(endless()))
        await service.watching.wait()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
    assert [(o.request_id, o.state, o.url) for o in reported] == [
        (request_id, PENDING, url) for request_id, url in service.submitted.items()
    ]
    assert submission.tally.progress_summary == "stopped after 1 URL, 1 submitted"


async def test_output_that_nobody_reads_ends_it() -> None:
    """When an outcome cannot be told any more, the run ends by that error alone."""

    def closed(outcome: RequestView) -> None:
        raise OutputClosed(outcome.url)

    async with serving(ScriptedService()) as address, connect(address) as client:
        submission = BulkSubmit(client, "acme", closed, watch=True)
        with pytest.raises(BaseExceptionGroup) as raised:
            await submission.run(each(numbered(300)))
    assert raised.value.split(OutputClosed)[1] is None
