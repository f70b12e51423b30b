"""`reindex` as it is ended by SIGTERM or by the engine, at each moment of its end: what it says then is true."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
import pytest_asyncio
from aiohttp import web

from core.search.engine import WriteStatus, open_writer
from harness.aws import RecordingAws
from harness.aws_proxy import Forward, ProxiedCall, Unreachable, aws_proxy
from harness.opensearch import OpenSearchServer, indexes
from harness.processes import Process
from harness.search_documents import document
from harness.search_engines import settings_for
from harness.system import System, system

pytestmark = pytest.mark.asyncio(loop_scope="session")

UNCHANGED = "reindex: interrupted before the swap; the old index is in use\n"
NEW = "reindex: interrupted after the swap; the new index is in use\n"
COUNT = "0 images indexed, 0 rejected\n"


@dataclass
class Way:
    """The reindex's way to the engine. The first call that has `marks`, its method and part of its body, is held."""

    marks: tuple[str, bytes]
    outage: bool = False
    """Whether this call and all after it are cut: it gets no answer, though it may be done."""
    done: bool = True
    held: asyncio.Event = field(default_factory=asyncio.Event)
    let_go: asyncio.Event = field(default_factory=asyncio.Event)
    again: bool = False
    """Whether what comes after the one that was cut is answered."""

    async def hook(self, call: ProxiedCall, forward: Forward) -> web.Response:
        method, body = self.marks
        if self.held.is_set():
            if self.outage and not self.again:
                raise Unreachable
        elif call.operation == method and (body in call.body if body else not call.body):
            self.held.set()
            await self.let_go.wait()
            if self.outage:
                if self.done:
                    await forward()
                raise Unreachable
        return await forward()


CLOSING = ("PUT", b"")
SWAP = ("POST", b"is_write_index")
DELETE = ("DELETE", b"")


@pytest_asyncio.fixture(loop_scope="session")
async def prepared(
    server: OpenSearchServer, embedded_aws: RecordingAws
) -> AsyncIterator[tuple[System, str]]:
    """A system with an index, and the index's name."""
    async with system(embedded_aws, opensearch_url=server.url) as running:
        writer = open_writer(settings_for(server.url, running.search["SEARCH_INDEX"]))
        await writer.prepare()
        await writer.close()
        (old,) = await indexes(server.url, running.search["SEARCH_INDEX"])
        yield running, old


@asynccontextmanager
async def held(server: OpenSearchServer, running: System, way: Way) -> AsyncIterator[Process]:
    """A reindex that has come to the call."""
    async with aws_proxy(server.url) as proxy:
        proxy.hook = way.hook
        process = await running.start_reindex(SEARCH_URL=proxy.endpoint)
        async with asyncio.timeout(60):
            await way.held.wait()
        yield process


async def ended(process: Process) -> tuple[int, str]:
    assert process.stdout is not None
    async with asyncio.timeout(60):
        out = await process.stdout.read()
        return await process.wait(), out.decode()


async def takes_writes(server: OpenSearchServer, alias: str) -> bool:
    writer = open_writer(settings_for(server.url, alias))
    (told,) = await writer.write([document()])
    await writer.close()
    return told.status is WriteStatus.INDEXED


async def read(server: OpenSearchServer, alias: str) -> list[str]:
    return [
        name for name, aliases in (await indexes(server.url, alias)).items() if alias in aliases
    ]


async def test_sigterm_while_the_old_index_is_being_closed(
    server: OpenSearchServer, prepared: tuple[System, str], capfd: pytest.CaptureFixture[str]
) -> None:
    """It is opened again, and as it was."""
    running, old = prepared
    alias, way = running.search["SEARCH_INDEX"], Way(CLOSING)
    async with held(server, running, way) as process:
        process.send_signal(signal.SIGTERM)
        # Whoever is impatient hastens nothing.
        process.send_signal(signal.SIGINT)
        way.let_go.set()
        assert await ended(process) in ((143, ""), (130, ""))
    assert (await asyncio.to_thread(capfd.readouterr)).err.endswith(UNCHANGED)
    assert list(await indexes(server.url, alias)) == [old]
    assert await takes_writes(server, alias)


@pytest.mark.parametrize("marks", [SWAP, DELETE], ids=["swap", "delete"])
async def test_sigterm_when_nothing_can_be_taken_back(
    server: OpenSearchServer,
    prepared: tuple[System, str],
    capfd: pytest.CaptureFixture[str],
    marks: tuple[str, bytes],
) -> None:
    """The count is told, the new index is read, and the status says so."""
    running, old = prepared
    alias, way = running.search["SEARCH_INDEX"], Way(marks)
    async with held(server, running, way) as process:
        process.send_signal(signal.SIGTERM)
        way.let_go.set()
        assert await ended(process) == (0, COUNT)
    assert (await asyncio.to_thread(capfd.readouterr)).err.endswith(NEW)
    (new,) = await read(server, alias)
    assert new != old
    assert await takes_writes(server, alias)


async def test_a_swap_whose_answer_is_lost_is_one(
    server: OpenSearchServer, prepared: tuple[System, str]
) -> None:
    """The engine is asked what became of it."""
    running, old = prepared
    way = Way(SWAP, outage=True, again=True)
    way.let_go.set()
    async with held(server, running, way) as process:
        assert await ended(process) == (0, COUNT)
    (new,) = await read(server, running.search["SEARCH_INDEX"])
    assert new != old


async def test_a_swap_that_is_lost_is_called_off(
    server: OpenSearchServer, prepared: tuple[System, str]
) -> None:
    """It cannot happen later either, and the old index takes writes again."""
    running, old = prepared
    alias, way = running.search["SEARCH_INDEX"], Way(SWAP, outage=True, done=False, again=True)
    way.let_go.set()
    async with held(server, running, way) as process:
        assert await ended(process) == (1, "")
    assert list(await indexes(server.url, alias)) == [old]
    assert await takes_writes(server, alias)


@pytest.mark.parametrize("done", [True, False], ids=["done", "not done"])
@pytest.mark.parametrize("signalled", [True, False], ids=["SIGTERM", "no signal"])
async def test_nobody_knows_what_an_engine_did_that_is_gone(
    server: OpenSearchServer,
    prepared: tuple[System, str],
    capfd: pytest.CaptureFixture[str],
    *,
    done: bool,
    signalled: bool,
) -> None:
    """That is what it says. Another reindex ends well, whichever index is read."""
    running, _ = prepared
    alias, way = running.search["SEARCH_INDEX"], Way(SWAP, outage=True, done=done)
    async with held(server, running, way) as process:
        if signalled:
            process.send_signal(signal.SIGTERM)
        way.let_go.set()
        assert await ended(process) == (1, "")
    told = (await asyncio.to_thread(capfd.readouterr)).err
    assert "does not say whether the old or the new index is read" in told
    assert UNCHANGED not in told
    assert len(await read(server, alias)) == 1
    assert await ended(await running.start_reindex()) == (0, COUNT)
    assert await takes_writes(server, alias)
    assert len(await indexes(server.url, alias)) == 1


async def test_an_index_that_stays_closed_is_told_of(
    server: OpenSearchServer, prepared: tuple[System, str], capfd: pytest.CaptureFixture[str]
) -> None:
    """The engine goes when it was closed: nobody says that it is as it was, and another reindex mends it."""
    running, _ = prepared
    alias, way = running.search["SEARCH_INDEX"], Way(CLOSING, outage=True)
    async with held(server, running, way) as process:
        process.send_signal(signal.SIGTERM)
        way.let_go.set()
        assert await ended(process) == (1, "")
    told = (await asyncio.to_thread(capfd.readouterr)).err
    assert "may take no writes until it is rebuilt" in told
    assert UNCHANGED not in told
    assert not await takes_writes(server, alias)
    assert await ended(await running.start_reindex()) == (0, COUNT)
    assert await takes_writes(server, alias)
