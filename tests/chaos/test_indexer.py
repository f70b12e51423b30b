"""The indexer is killed, or the engine or the tables fail: no event is lost, and the index catches up."""

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
# Short, so that the messages of a killed indexer are received again soon.
VISIBILITY_S = "3"
TWO_RECEIVES = "2"
"""Receives of an event before the redrive policy moves it: one that fails, and one that succeeds."""
ROUNDS = 3
"""Failed attempts, one more than an event may be received. The delay doubles: eight would take a minute."""


@dataclass(slots=True)
class KilledIndexer:
    """An indexer that is killed at its first call of one operation."""

    kill_at: str
    begun: asyncio.Event
    process: Process | None = None


def proxy_settings(proxy: AwsProxy) -> dict[str, str]:
    """Return the settings of a process whose AWS calls all pass the proxy."""
    return {"AWS_ENDPOINT_URL": proxy.endpoint, "AWS_ENDPOINT_URL_DYNAMODB": proxy.endpoint}


def waiting(page: Scrape) -> bool:
    return page.value("indexer_waiting") == 1


def failed(counter: str, calls: int, **labels: str) -> Callable[[Scrape], bool]:
    """Return a condition: so many calls have failed that an event received for each of them would be in the DLQ."""

    def enough(page: Scrape) -> bool:
        succeeded = page.value(counter, outcome="ok", **labels) or 0
        return (page.value(counter, **labels) or 0) - succeeded >= calls

    return enough


async def until_visible(stores: Stores, count: int) -> None:
    """Wait until the queue has that many visible events."""
    url = stores.system.stack.search_queue_url
    visible = "ApproximateNumberOfMessages"

    async def reached() -> bool:
        attributes = await stores.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=[visible])
        return int(attributes["Attributes"][visible]) == count

    await wait_for(reached, f"{count} visible events")


@asynccontextmanager
async def locked(running: System) -> AsyncIterator[None]:
    """Lock the file of the index, so that no process can write to it."""
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


async def test_an_indexer_killed_between_two_steps_loses_and_duplicates_nothing(
    embedded_aws: RecordingAws, opensearch_url: str | None
) -> None:
    """Once with a batch that is received and not written, once with one that is written and not deleted."""
    async with (
        origin() as images,
        aws_proxy(embedded_aws.endpoint) as proxy,
        system(
            embedded_aws, opensearch_url=opensearch_url, VisibilityTimeoutSeconds=VISIBILITY_S
        ) as running,
        stores_of(running) as stores,
        index_of(running) as index,
    ):
        current = KilledIndexer("", asyncio.Event())

        async def kill_at_the_operation(call: ProxiedCall, forward: Forward) -> web.Response:
            indexer = current
            if call.operation != indexer.kill_at:
                return await forward()
            await indexer.begun.wait()
            assert indexer.process is not None
            with suppress(ProcessLookupError):
                indexer.process.kill()
            raise Unreachable

        proxy.hook = kill_at_the_operation
        await running.start_server()
        await running.start_consumer()
        ids = await asyncio.gather(*(running.submit(images.image_url(n)) for n in range(IMAGES)))
        await running.wait_terminal(ids)
        for operation in ("BatchGetItem", "DeleteMessageBatch", "BatchGetItem"):
            current = KilledIndexer(operation, asyncio.Event())
            current.process = await running.start_indexer(**proxy_settings(proxy))
            current.begun.set()
            assert await current.process.wait() == -signal.SIGKILL
        await running.start_indexer()
        await index.until_found(ids)
        await until_visible(stores, 0)
        assert await stores.depth(running.stack.search_dlq_url) == 0


async def test_an_indexer_waits_for_an_engine_that_is_down_at_its_start(
    embedded_aws: RecordingAws, opensearch_url: str | None
) -> None:
    """It is alive, receives nothing and reports it. Requests still complete. SIGTERM ends it with exit code 0."""
    port = MetricsPort()
    async with (
        origin() as images,
        system(embedded_aws, opensearch_url=opensearch_url) as running,
        stores_of(running) as stores,
        index_of(running) as index,
    ):
        await running.start_server()
        await running.start_consumer()
        with closed_port() as closed:
            unreachable = {"SEARCH_URL": f"http://127.0.0.1:{closed}"}
            indexer = await running.start_indexer(**port.settings, **unreachable)
            await port.until(waiting)
            ids = [await running.submit(images.image_url(n)) for n in range(5)]
            await running.wait_terminal(ids)
            await until_visible(stores, 5)
            page = await port.scrape()
            assert page.value("indexer_received_messages_total") == 0
            assert await port.get("/livez") == (200, "alive\n")
            indexer.send_signal(signal.SIGTERM)
            assert await indexer.wait() == 0
        await running.start_indexer()
        await index.until_found(ids)


async def test_an_engine_that_was_down_gets_all_events_later(
    embedded_aws: RecordingAws,
) -> None:
    """The events return to the queue and stay there until the engine accepts them, for any length of time."""
    port = MetricsPort()
    async with (
        origin() as images,
        system(embedded_aws, SearchMaxReceiveCount=TWO_RECEIVES) as running,
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
            # The file can be read, so the engine reports that it is ready.
            # A round writes two images: one that was not accepted, and one that was accepted before.
            page = await port.until(
                failed("search_engine_calls_total", 2 * ROUNDS, operation="write")
            )
            assert waiting(page)
            await until_visible(stores, 20)
        await index.until_found([*first, *more])
        await port.until(lambda page: not waiting(page))
        assert await stores.depth(running.stack.search_dlq_url) == 0


async def test_an_indexer_waits_for_tables_that_are_down(
    embedded_aws: RecordingAws, opensearch_url: str | None
) -> None:
    """The failed lookup is not the event's fault: it is not dropped, and not received again for each attempt."""
    port = MetricsPort()
    async with (
        origin() as images,
        aws_proxy(embedded_aws.endpoint) as proxy,
        system(
            embedded_aws, opensearch_url=opensearch_url, SearchMaxReceiveCount=TWO_RECEIVES
        ) as running,
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
        await running.start_indexer(**port.settings, **proxy_settings(proxy))
        ids = [await running.submit(images.image_url(n)) for n in range(2)]
        await running.wait_terminal(ids)
        page = await port.until(
            failed("aws_calls_total", ROUNDS, operation="dynamodb:BatchGetItem")
        )
        assert waiting(page)
        await until_visible(stores, 2)
        proxy.hook = pass_on
        await index.until_found(ids)
        assert await stores.depth(running.stack.search_dlq_url) == 0


async def test_sigterm_under_load_releases_all_messages(
    embedded_aws: RecordingAws, opensearch_url: str | None
) -> None:
    """The current batch is finished. The other messages are visible at once, and the next indexer receives them."""
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
        # The visibility timeout is two minutes, longer than the wait: the messages were released.
        await index.until_found(ids)
