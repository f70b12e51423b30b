"""The indexer is killed, and what it needs goes away: nothing is lost, nobody else notices, all catches up."""

import asyncio
import signal
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from aiohttp import web

from harness.aws import RecordingAws
from harness.aws_proxy import AwsProxy, Forward, ProxiedCall, Unreachable, aws_proxy, pass_on
from harness.index import index_of
from harness.metrics import MetricsPort, Scrape
from harness.origin import origin
from harness.processes import Process
from harness.reserved_port import closed_port
from harness.stores import Stores, stores_of
from harness.system import System, system
from harness.waiting import wait_for

IMAGES = 150
# Short, so that what a dead indexer held comes back soon.
VISIBILITY_S = "3"
TWICE = "2"
"""Receives that an event may have: one that fails, and one that goes well."""
ROUNDS = 3
"""Tries in vain, one more than an event may be received. Pauses double between them: eight would take a minute."""


@dataclass(slots=True)
class Life:
    """An indexer that is killed where it makes a call for the first time."""

    fatal_call: str
    begun: asyncio.Event
    process: Process | None = None


def way_through(proxy: AwsProxy) -> dict[str, str]:
    """Settings of a process all of whose calls to AWS pass the proxy."""
    return {"AWS_ENDPOINT_URL": proxy.endpoint, "AWS_ENDPOINT_URL_DYNAMODB": proxy.endpoint}


def waiting(page: Scrape) -> bool:
    return page.value("indexer_waiting") == 1


def failed(counter: str, calls: int, **labels: str) -> Callable[[Scrape], bool]:
    """Whether so many calls went wrong that an event received for each round would be a dead letter."""

    def enough(page: Scrape) -> bool:
        well = page.value(counter, outcome="ok", **labels) or 0
        return (page.value(counter, **labels) or 0) - well >= calls

    return enough


async def held_by_none(stores: Stores, count: int) -> None:
    """Wait until that many events wait in the queue, and are visible."""
    url = stores.system.stack.search_queue_url
    visible = "ApproximateNumberOfMessages"

    async def reached() -> bool:
        told = await stores.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=[visible])
        return int(told["Attributes"][visible]) == count

    await wait_for(reached, f"{count} visible events")


@asynccontextmanager
async def locked(running: System) -> AsyncIterator[None]:
    """Nobody can write to the file of the index meanwhile."""
    path = running.search["SEARCH_URL"].removeprefix("sqlite:///")

    def lock() -> sqlite3.Connection:
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        connection.execute("BEGIN IMMEDIATE")
        return connection

    connection = await asyncio.to_thread(lock)
    try:
        yield
    finally:
        await asyncio.to_thread(connection.close)


async def test_an_indexer_killed_at_the_worst_moments_loses_and_doubles_nothing(
    embedded_aws: RecordingAws, opensearch_url: str | None
) -> None:
    """With a batch that is received but not written, and with one that is written but not deleted; others take over."""
    async with (
        origin() as images,
        aws_proxy(embedded_aws.endpoint) as proxy,
        system(
            embedded_aws, opensearch_url=opensearch_url, VisibilityTimeoutSeconds=VISIBILITY_S
        ) as running,
        stores_of(running) as stores,
        index_of(running) as index,
    ):
        life = Life("", asyncio.Event())

        async def kill_at_the_fatal_call(call: ProxiedCall, forward: Forward) -> web.Response:
            doomed = life
            if call.operation != doomed.fatal_call:
                return await forward()
            await doomed.begun.wait()
            assert doomed.process is not None
            with suppress(ProcessLookupError):
                doomed.process.kill()
            raise Unreachable

        proxy.hook = kill_at_the_fatal_call
        await running.start_server()
        await running.start_consumer()
        ids = await asyncio.gather(*(running.submit(images.image_url(n)) for n in range(IMAGES)))
        await running.wait_terminal(ids)
        for fatal_call in ("BatchGetItem", "DeleteMessageBatch", "BatchGetItem"):
            life = Life(fatal_call, asyncio.Event())
            life.process = await running.start_indexer(**way_through(proxy))
            life.begun.set()
            assert await life.process.wait() == -signal.SIGKILL
        await running.start_indexer()
        await index.until_found(ids)
        await held_by_none(stores, 0)
        assert await stores.depth(running.stack.search_dlq_url) == 0


async def test_an_engine_that_is_not_there_at_the_start_is_waited_for(
    embedded_aws: RecordingAws, opensearch_url: str | None
) -> None:
    """The indexer lives, receives nothing and says so; submits and their ends are as ever; SIGTERM ends it well."""
    port = MetricsPort()
    async with (
        origin() as images,
        system(embedded_aws, opensearch_url=opensearch_url) as running,
        stores_of(running) as stores,
        index_of(running) as index,
    ):
        await running.start_server()
        await running.start_consumer()
        with closed_port() as nobody:
            nowhere = {"SEARCH_URL": f"http://127.0.0.1:{nobody}"}
            indexer = await running.start_indexer(**port.settings, **nowhere)
            await port.until(waiting)
            ids = [await running.submit(images.image_url(n)) for n in range(5)]
            await running.wait_terminal(ids)
            await held_by_none(stores, 5)
            page = await port.scrape()
            assert page.value("indexer_received_messages_total") == 0
            assert await port.get("/livez") == (200, "alive\n")
            indexer.send_signal(signal.SIGTERM)
            assert await indexer.wait() == 0
        await running.start_indexer()
        await index.until_found(ids)


async def test_an_engine_that_goes_away_gets_all_when_it_is_back(
    embedded_aws: RecordingAws,
) -> None:
    """What the indexer held goes back to the queue, where it waits until the engine takes it, however long that is."""
    port = MetricsPort()
    async with (
        origin() as images,
        system(embedded_aws, SearchMaxReceiveCount=TWICE) as running,
        stores_of(running) as stores,
        index_of(running) as index,
    ):
        await running.start_server()
        await running.start_consumer()
        await running.start_indexer(**port.settings, SEARCH_TIMEOUT_S="0.1")
        first = [await running.submit(images.image_url(n)) for n in range(5)]
        await index.until_found(first)
        async with locked(running):
            more = [await running.submit(images.image_url(n)) for n in range(10, 30)]
            await running.wait_terminal(more)
            # The file can be read, so the engine is ready by its own word.
            # A round tries two images: one that was not taken, and one that was taken before.
            page = await port.until(
                failed("search_engine_calls_total", 2 * ROUNDS, operation="write")
            )
            assert waiting(page)
            await held_by_none(stores, 20)
        await index.until_found([*first, *more])
        await port.until(lambda page: not waiting(page))
        assert await stores.depth(running.stack.search_dlq_url) == 0


async def test_tables_that_go_away_are_waited_for(
    embedded_aws: RecordingAws, opensearch_url: str | None
) -> None:
    """An event that cannot be looked up is no fault of its own: it is not dropped, and not received for each try."""
    port = MetricsPort()
    async with (
        origin() as images,
        aws_proxy(embedded_aws.endpoint) as proxy,
        system(embedded_aws, opensearch_url=opensearch_url, SearchMaxReceiveCount=TWICE) as running,
        stores_of(running) as stores,
        index_of(running) as index,
    ):

        async def no_tables(call: ProxiedCall, forward: Forward) -> web.Response:
            if call.operation == "BatchGetItem":
                raise Unreachable
            return await forward()

        proxy.hook = no_tables
        await running.start_server()
        await running.start_consumer()
        await running.start_indexer(**port.settings, **way_through(proxy))
        ids = [await running.submit(images.image_url(n)) for n in range(2)]
        await running.wait_terminal(ids)
        page = await port.until(
            failed("aws_calls_total", ROUNDS, operation="dynamodb:BatchGetItem")
        )
        assert waiting(page)
        await held_by_none(stores, 2)
        proxy.hook = pass_on
        await index.until_found(ids)
        assert await stores.depth(running.stack.search_dlq_url) == 0


async def test_sigterm_under_load_leaves_nothing_behind(
    embedded_aws: RecordingAws, opensearch_url: str | None
) -> None:
    """The batch under way is finished, the rest is visible at once, and the next indexer does it."""
    port = MetricsPort()
    async with (
        origin() as images,
        system(embedded_aws, opensearch_url=opensearch_url) as running,
        index_of(running) as index,
    ):
        await running.start_server()
        await running.start_consumer()
        ids = await asyncio.gather(*(running.submit(images.image_url(n)) for n in range(100)))
        await running.wait_terminal(ids)
        first = await running.start_indexer(**port.settings)
        await port.until(lambda page: bool(page.value("indexer_received_messages_total")))
        first.send_signal(signal.SIGTERM)
        assert await first.wait() == 0
        await running.start_indexer()
        # The queue's visibility is two minutes: what was not given back would not be here in time.
        await index.until_found(ids)
