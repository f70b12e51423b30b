"""The circuit breaker and health probe of a search reader. The engine is scripted by each test."""

import asyncio
from collections.abc import Callable

import orjson
import pytest
from aiohttp import web

from cli.local.embedded_aws import HOST
from core.errors import SearchUnavailable
from core.resilience.backoff import Backoff
from core.search.opensearch.client import CONNECTIONS
from harness.scripted_opensearch import NOTHING, engine, reader, search_total

SHORT_TIMEOUT_S = 2.0
"""Long enough for a response on a loaded machine, but short: some tests wait for it several times."""


@pytest.mark.parametrize(
    ("status", "outage"), [(429, True), (503, True), (400, False), (403, False)]
)
async def test_only_an_outage_opens_the_circuit_breaker(status: int, *, outage: bool) -> None:
    """A 400 or 403 leaves it closed. An overloaded or failing engine is not called for a while."""
    calls = []

    async def refuse(request: web.Request) -> web.Response:
        calls.append(await request.read())
        return web.json_response({"error": {"type": "t", "reason": "because"}}, status=status)

    async with engine(refuse) as url, reader(url) as client:
        client._breaker._open_time = Backoff.between(60, 60)
        with pytest.raises(SearchUnavailable, match="because"):
            await search_total(client)
        if outage:
            await until(lambda: not client._breaker.closed)
        calls_before = len(calls)
        for _ in range(4):
            with pytest.raises(SearchUnavailable):
                await search_total(client)
    assert len(calls) == (calls_before if outage else 5)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110  a task of the reader changes it and sets no event
            await asyncio.sleep(0.01)


class SlowEngine:
    """An engine that does not answer queries of the customer "slow". If `hangs` is set, it answers nothing."""

    def __init__(self) -> None:
        self.hangs = False
        self.probes = 0

    async def answer(self, request: web.Request) -> web.Response:
        query = orjson.loads(await request.read())["query"]
        probe = query == {"match_none": {}}
        self.probes += probe
        if self.hangs or (not probe and query["bool"]["filter"][0]["term"] == SLOW):
            await asyncio.sleep(3_600)
        return web.json_response(NOTHING)


SLOW = {"customer_id": "slow"}


async def test_slow_queries_do_not_block_other_queries() -> None:
    """A slow query times out, and the circuit breaker stays closed. Other queries are answered all the time."""
    slow = SlowEngine()
    async with engine(slow.answer) as url, reader(url, search_timeout_s=SHORT_TIMEOUT_S) as client:
        done = asyncio.Event()

        async def ask_slowly() -> None:
            while not done.is_set():
                with pytest.raises(SearchUnavailable, match="TimeoutError"):
                    await search_total(client, "slow")

        async with asyncio.TaskGroup() as group:
            for _ in range(5):
                group.create_task(ask_slowly())
            await until(lambda: slow.probes >= 2)
            while slow.probes < 4:
                assert await search_total(client) == 0
                await asyncio.sleep(0.01)
            done.set()
        assert client._breaker.closed
        assert await search_total(client) == 0


async def test_the_probe_does_not_wait_for_a_connection_of_slow_queries() -> None:
    """The probe has its own connection. Here it follows a failed query while slow ones hold all connections."""
    received: list[str] = []
    fail, release = asyncio.Event(), asyncio.Event()

    async def answer(request: web.Request) -> web.Response:
        query = orjson.loads(await request.read())["query"]
        if "bool" in query:
            customer = query["bool"]["filter"][0]["term"]["customer_id"]
            received.append(customer)
            await (fail if customer == "failing" else release).wait()
            return web.json_response(NOTHING, status=500 if customer == "failing" else 200)
        return web.json_response(NOTHING)

    async with engine(answer) as url, reader(url) as client:
        failing = asyncio.create_task(search_total(client, "failing"))
        await until(lambda: len(received) == 1)
        slow = [asyncio.create_task(search_total(client, "slow")) for _ in range(2 * CONNECTIONS)]
        await until(lambda: len(received) == CONNECTIONS)
        fail.set()
        with pytest.raises(SearchUnavailable, match="500"):
            await failing
        probing = client._breaker._probing
        assert probing is not None
        await until(probing.done)
        assert client._breaker.closed
        release.set()
        assert set(await asyncio.gather(*slow)) == {0}


async def test_an_outage_ends_without_a_caller() -> None:
    """Only the probe calls the engine. Callers fail at once until the engine has answered a probe."""
    slow = SlowEngine()
    slow.hangs = True
    async with engine(slow.answer) as url, reader(url, search_timeout_s=SHORT_TIMEOUT_S) as client:
        with pytest.raises(SearchUnavailable, match="TimeoutError"):
            await search_total(client)
        await until(lambda: not client._breaker.closed)
        probes_before = slow.probes
        await until(lambda: slow.probes > probes_before)
        with pytest.raises(SearchUnavailable, match="known to be down"):
            await search_total(client)
        slow.hangs = False
        await until(lambda: client._breaker.closed)
        assert await search_total(client) == 0


async def test_a_server_that_never_answers_is_unavailable() -> None:
    """A connection that is accepted and never answered times out."""

    closed = asyncio.Event()

    async def silence(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()
        await writer.wait_closed()
        closed.set()

    server = await asyncio.start_server(silence, HOST, 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        async with reader(f"http://{HOST}:{port}", search_timeout_s=SHORT_TIMEOUT_S) as client:
            with pytest.raises(SearchUnavailable, match="TimeoutError"):
                await search_total(client)
        await closed.wait()
