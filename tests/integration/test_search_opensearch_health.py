"""Whether an engine is well, as a reader comes to know it: the engine here is one that a test writes itself."""

import asyncio
from collections.abc import Callable

import orjson
import pytest
from aiohttp import web

from cli.local.embedded_aws import HOST
from core.errors import SearchUnavailable
from core.resilience.backoff import Backoff
from core.search.opensearch.client import CONNECTIONS
from harness.scripted_opensearch import NOTHING, ask, engine, reader

SOON_S = 2.0
"""Long enough for an answer on a busy machine, and no longer: some tests wait for it several times."""


@pytest.mark.parametrize(
    ("status", "outage"), [(429, True), (503, True), (400, False), (403, False)]
)
async def test_what_keeps_callers_away_is_an_outage(status: int, *, outage: bool) -> None:
    """An engine that refuses is well; one that is overloaded or broken is left alone for a moment."""
    calls = []

    async def refuse(request: web.Request) -> web.Response:
        calls.append(await request.read())
        return web.json_response({"error": {"type": "t", "reason": "because"}}, status=status)

    async with engine(refuse) as url, reader(url) as asking:
        asking._breaker._open_time = Backoff.between(60, 60)
        with pytest.raises(SearchUnavailable, match="because"):
            await ask(asking)
        if outage:
            await until(lambda: not asking._breaker.closed)
        asked = len(calls)
        for _ in range(4):
            with pytest.raises(SearchUnavailable):
                await ask(asking)
    assert len(calls) == (asked if outage else 5)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110  a task of the reader's does it
            await asyncio.sleep(0.01)


class OneWhoIsSlow:
    """An engine that answers at once, but for the customer "slow"; one that `hangs` answers nobody."""

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


async def test_slow_questions_keep_no_other_from_the_engine() -> None:
    """Who asks what takes too long is told so, also where nobody else asks; the others are answered all the time."""
    slow = OneWhoIsSlow()
    async with engine(slow.answer) as url, reader(url, search_timeout_s=SOON_S) as asking:
        over = asyncio.Event()

        async def ask_slowly() -> None:
            while not over.is_set():
                with pytest.raises(SearchUnavailable, match="TimeoutError"):
                    await ask(asking, "slow")

        async with asyncio.TaskGroup() as group:
            for _ in range(5):
                group.create_task(ask_slowly())
            await until(lambda: slow.probes >= 2)
            while slow.probes < 4:
                assert await ask(asking) == 0
                await asyncio.sleep(0.01)
            over.set()
        assert asking._breaker.closed
        assert await ask(asking) == 0


async def test_slow_questions_take_all_connections_and_search_is_no_less_well() -> None:
    """Whether the engine is well is asked over a connection of its own, here after a question that it fails at."""
    arrived: list[str] = []
    fail, let_go = asyncio.Event(), asyncio.Event()

    async def answer(request: web.Request) -> web.Response:
        query = orjson.loads(await request.read())["query"]
        if "bool" in query:
            customer = query["bool"]["filter"][0]["term"]["customer_id"]
            arrived.append(customer)
            await (fail if customer == "failing" else let_go).wait()
            return web.json_response(NOTHING, status=500 if customer == "failing" else 200)
        return web.json_response(NOTHING)

    async with engine(answer) as url, reader(url) as asking:
        failing = asyncio.create_task(ask(asking, "failing"))
        await until(lambda: len(arrived) == 1)
        slow = [asyncio.create_task(ask(asking, "slow")) for _ in range(2 * CONNECTIONS)]
        await until(lambda: len(arrived) == CONNECTIONS)
        fail.set()
        with pytest.raises(SearchUnavailable, match="500"):
            await failing
        probing = asking._breaker._probing
        assert probing is not None
        await until(probing.done)
        assert asking._breaker.closed
        let_go.set()
        assert set(await asyncio.gather(*slow)) == {0}


async def test_an_outage_ends_without_anybody_who_asks() -> None:
    """A caller is never the one who tries: all are refused at once until the engine has answered."""
    slow = OneWhoIsSlow()
    slow.hangs = True
    async with engine(slow.answer) as url, reader(url, search_timeout_s=SOON_S) as asking:
        with pytest.raises(SearchUnavailable, match="TimeoutError"):
            await ask(asking)
        await until(lambda: not asking._breaker.closed)
        asked = slow.probes
        await until(lambda: slow.probes > asked)
        with pytest.raises(SearchUnavailable, match="known to be down"):
            await ask(asking)
        slow.hangs = False
        await until(lambda: asking._breaker.closed)
        assert await ask(asking) == 0


async def test_who_listens_and_says_nothing_is_down() -> None:
    """A connection that is taken and never answered costs the time-out."""

    hung_up = asyncio.Event()

    async def silence(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()
        await writer.wait_closed()
        hung_up.set()

    server = await asyncio.start_server(silence, HOST, 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        async with reader(f"http://{HOST}:{port}", search_timeout_s=SOON_S) as asking:
            with pytest.raises(SearchUnavailable, match="TimeoutError"):
                await ask(asking)
        await hung_up.wait()
