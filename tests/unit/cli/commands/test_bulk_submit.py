"""A submission is bounded, tells one outcome for each URL, and stops where nobody answers."""

import asyncio
from collections.abc import AsyncIterator, Iterable

import pytest

from cli.client.client import WATCHED_AT_ONCE, connect
from cli.client.retry import RetryPolicy
from cli.client.submit_stream import item_stream
from cli.commands.bulk_submit import SUBMITS_AT_ONCE, Submission
from cli.errors import OutputClosed, UsageFault
from cli.output.outcome import COMPLETED, FAILED, PENDING, Outcome
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
) -> tuple[Submission, list[Outcome]]:
    told: list[Outcome] = []
    async with serving(service) as address, connect(address) as client:
        submission = Submission(client, "acme", told.append, request_id=request_id, watch=watch)
        await submission.run(each(urls))
    return submission, told


def numbered(count: int) -> list[str]:
    return [f"http://origin/{number}.png" for number in range(count)]


async def test_each_url_is_told_once() -> None:
    """Without a watch each URL is told as PENDING, under an id of its own, with bounded work under way."""
    service = ScriptedService()
    _, told = await submit(service, numbered(300))
    assert sorted(outcome.url for outcome in told) == sorted(numbered(300))
    assert len({outcome.request_id for outcome in told}) == 300
    assert {outcome.state for outcome in told} == {PENDING}
    assert service.most_at_once <= SUBMITS_AT_ONCE


async def test_a_watched_submission_tells_ends() -> None:
    """With a watch each URL is told once, as it ended, by streams of at most 100 ids."""
    service = ScriptedService(ends={"http://origin/7.png": failed("http://origin/7.png")})
    submission, told = await submit(service, numbered(500), watch=True)
    ends = {outcome.url: outcome.state for outcome in told}
    assert ends == dict.fromkeys(numbered(500), COMPLETED) | {"http://origin/7.png": FAILED}
    assert len(told) == 500
    assert max(map(len, service.watched)) <= WATCHED_AT_ONCE
    assert submission.tally.bad == 1


@pytest.mark.parametrize("by_stream", [False, True], ids=["by calls", "by a stream"])
async def test_labels_go_with_each(by_stream: bool) -> None:
    """Each request is submitted with all labels, whichever way it goes."""
    labels, service = {"set": "logos", "year": "2026"}, ScriptedService()
    async with (
        serving(service) as address,
        connect(address) as client,
        item_stream(client) as stream,
    ):
        submission = Submission(client, "acme", lambda _: None, labels=labels)
        if by_stream:
            submission.submits = stream
        await submission.run(each(numbered(3)))
    assert list(service.labels.values()) == [labels] * 3


async def test_a_refused_url_does_not_stop_the_others() -> None:
    """What is refused is told with its reason; the rest goes on."""
    refusal = invalid("url", "Must be http or https.")
    service = ScriptedService(refusals={"ftp://x": [refusal]})
    submission, told = await submit(service, ["ftp://x", "http://origin/1.png"], watch=True)
    by_url = {outcome.url: outcome for outcome in told}
    error = by_url["ftp://x"].error
    assert error is not None
    assert error.reason == "INVALID_REQUEST"
    assert by_url["http://origin/1.png"].state == COMPLETED
    assert (submission.tally.submitted, submission.tally.bad) == (1, 1)


@pytest.mark.parametrize("watch", [False, True])
async def test_a_repeated_id_tells_how_it_ended(watch: bool) -> None:
    """An id whose request has ended is told with its public URL, watched or not."""
    url, request_id = "http://origin/1.png", "6d2f0c1e-3a5b-4a53-9a35-0a4d8f0c2a11"
    service = ScriptedService(submitted={request_id: url})
    _, told = await submit(service, [url], request_id=request_id, watch=watch)
    assert [(o.request_id, o.state, o.public_url) for o in told] == [
        (request_id, COMPLETED, "http://cdn/images/aa/tag/0123.png")
    ]


async def test_a_watch_that_is_refused_is_told_for_each() -> None:
    """When the watch itself is refused, each URL in it is told with the reason."""
    service = ScriptedService(watches=[([], invalid("request_ids", "No."))] * 3)
    _, told = await submit(service, numbered(3), watch=True)
    assert len(told) == 3
    assert {outcome.state for outcome in told} == {PENDING}
    assert {outcome.error.reason for outcome in told if outcome.error} == {"INVALID_REQUEST"}


async def test_nobody_answers() -> None:
    """When no server answers after all attempts, no further URL is read."""
    told: list[Outcome] = []
    async with connect("127.0.0.1:1", RetryPolicy(backoff=Backoff(0.001, 8.0))) as client:
        submission = Submission(client, "acme", told.append)
        await submission.run(each(numbered(100_000)))
    assert submission.unreachable is not None
    assert submission.tally.read == len(told) <= 2 * SUBMITS_AT_ONCE
    assert {outcome.error.reason for outcome in told if outcome.error} == {"UNAVAILABLE"}


async def test_a_source_that_breaks_off() -> None:
    """When the URLs cannot be read on, those before are submitted and told, and the fault is kept."""

    async def broken() -> AsyncIterator[str]:
        for url in numbered(50):
            yield url
        raise UsageFault("line 51 is not UTF-8")

    told: list[Outcome] = []
    async with serving(ScriptedService()) as address, connect(address) as client:
        submission = Submission(client, "acme", told.append)
        await submission.run(broken())
    assert len(told) == submission.tally.submitted == 50
    assert str(submission.unreadable) == "line 51 is not UTF-8"
    assert submission.tally.so_far == "stopped after 50 URLs, 50 submitted"


async def test_an_interrupted_watch_tells_the_ids() -> None:
    """Cancelled while it reads and watches, a submission still tells what was acknowledged."""
    told: list[Outcome] = []
    service = ScriptedService(held=asyncio.Event())

    async def endless() -> AsyncIterator[str]:
        yield "http://origin/1.png"
        await asyncio.Event().wait()

    async with serving(service) as address, connect(address) as client:
        submission = Submission(client, "acme", told.append, watch=True)
        running = asyncio.create_task(submission.run(endless()))
        await service.watching.wait()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
    assert [(o.request_id, o.state, o.url) for o in told] == [
        (request_id, PENDING, url) for request_id, url in service.submitted.items()
    ]
    assert submission.tally.so_far == "stopped after 1 URL, 1 submitted"


async def test_output_that_nobody_reads_ends_it() -> None:
    """When an outcome cannot be told any more, the run ends by that error alone."""

    def closed(outcome: Outcome) -> None:
        raise OutputClosed(outcome.url)

    async with serving(ScriptedService()) as address, connect(address) as client:
        submission = Submission(client, "acme", closed, watch=True)
        with pytest.raises(BaseExceptionGroup) as raised:
            await submission.run(each(numbered(300)))
    assert raised.value.split(OutputClosed)[1] is None
