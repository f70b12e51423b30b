"""`reindex` interrupted by SIGTERM or by the engine at each of its last calls: its message is true."""

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
class Interception:
    """Holds the first call of the reindex that matches `marks`: its HTTP method and a part of its body."""

    marks: tuple[str, bytes]
    outage: bool = False
    """Whether this call and all later calls get no response. With `done` the engine still executes the held call."""
    done: bool = True
    held: asyncio.Event = field(default_factory=asyncio.Event)
    release: asyncio.Event = field(default_factory=asyncio.Event)
    recovers: bool = False
    """Whether the calls after the held one get a response."""

    async def hook(self, call: ProxiedCall, forward: Forward) -> web.Response:
        method, body = self.marks
        if self.held.is_set():
            if self.outage and not self.recovers:
                raise Unreachable
        elif call.operation == method and (body in call.body if body else not call.body):
            self.held.set()
            await self.release.wait()
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
async def held_reindex(
    server: OpenSearchServer, running: System, interception: Interception
) -> AsyncIterator[Process]:
    """Start a reindex and wait until it has made the intercepted call."""
    async with aws_proxy(server.url) as proxy:
        proxy.hook = interception.hook
        process = await running.start_reindex(SEARCH_URL=proxy.endpoint)
        async with asyncio.timeout(60):
            await interception.held.wait()
        yield process


async def result_of(process: Process) -> tuple[int, str]:
    assert process.stdout is not None
    async with asyncio.timeout(60):
        out = await process.stdout.read()
        return await process.wait(), out.decode()


async def accepts_writes(server: OpenSearchServer, alias: str) -> bool:
    writer = open_writer(settings_for(server.url, alias))
    (written,) = await writer.write([document()])
    await writer.close()
    return written.status is WriteStatus.INDEXED


async def indexes_in_use(server: OpenSearchServer, alias: str) -> list[str]:
    return [
        name for name, aliases in (await indexes(server.url, alias)).items() if alias in aliases
    ]


async def test_sigterm_while_the_old_index_is_being_closed(
    server: OpenSearchServer, prepared: tuple[System, str], capfd: pytest.CaptureFixture[str]
) -> None:
    """The old index is opened again and is unchanged."""
    running, old = prepared
    alias, interception = running.search["SEARCH_INDEX"], Interception(CLOSING)
    async with held_reindex(server, running, interception) as process:
        process.send_signal(signal.SIGTERM)
        # A second signal has no effect.
        process.send_signal(signal.SIGINT)
        interception.release.set()
        assert await result_of(process) in ((143, ""), (130, ""))
    assert (await asyncio.to_thread(capfd.readouterr)).err.endswith(UNCHANGED)
    assert list(await indexes(server.url, alias)) == [old]
    assert await accepts_writes(server, alias)


@pytest.mark.parametrize("marks", [SWAP, DELETE], ids=["swap", "delete"])
async def test_sigterm_after_the_swap(
    server: OpenSearchServer,
    prepared: tuple[System, str],
    capfd: pytest.CaptureFixture[str],
    marks: tuple[str, bytes],
) -> None:
    """The count is printed, the new index is in use, and the exit status is 0."""
    running, old = prepared
    alias, interception = running.search["SEARCH_INDEX"], Interception(marks)
    async with held_reindex(server, running, interception) as process:
        process.send_signal(signal.SIGTERM)
        interception.release.set()
        assert await result_of(process) == (0, COUNT)
    assert (await asyncio.to_thread(capfd.readouterr)).err.endswith(NEW)
    (new,) = await indexes_in_use(server, alias)
    assert new != old
    assert await accepts_writes(server, alias)


async def test_a_swap_with_a_lost_response_counts(
    server: OpenSearchServer, prepared: tuple[System, str]
) -> None:
    """The reindex asks the engine whether the swap was executed."""
    running, old = prepared
    interception = Interception(SWAP, outage=True, recovers=True)
    interception.release.set()
    async with held_reindex(server, running, interception) as process:
        assert await result_of(process) == (0, COUNT)
    (new,) = await indexes_in_use(server, running.search["SEARCH_INDEX"])
    assert new != old


async def test_a_lost_swap_is_aborted(
    server: OpenSearchServer, prepared: tuple[System, str]
) -> None:
    """It cannot be executed later, and the old index accepts writes again."""
    running, old = prepared
    alias, interception = (
        running.search["SEARCH_INDEX"],
        Interception(SWAP, outage=True, done=False, recovers=True),
    )
    interception.release.set()
    async with held_reindex(server, running, interception) as process:
        assert await result_of(process) == (1, "")
    assert list(await indexes(server.url, alias)) == [old]
    assert await accepts_writes(server, alias)


@pytest.mark.parametrize("done", [True, False], ids=["done", "not done"])
@pytest.mark.parametrize("signalled", [True, False], ids=["SIGTERM", "no signal"])
async def test_the_result_of_a_swap_is_unknown_if_the_engine_is_gone(
    server: OpenSearchServer,
    prepared: tuple[System, str],
    capfd: pytest.CaptureFixture[str],
    *,
    done: bool,
    signalled: bool,
) -> None:
    """The message says so. Another reindex succeeds, whichever index is in use."""
    running, _ = prepared
    alias, interception = running.search["SEARCH_INDEX"], Interception(SWAP, outage=True, done=done)
    async with held_reindex(server, running, interception) as process:
        if signalled:
            process.send_signal(signal.SIGTERM)
        interception.release.set()
        assert await result_of(process) == (1, "")
    stderr = (await asyncio.to_thread(capfd.readouterr)).err
    assert "does not say whether the old or the new index is read" in stderr
    assert UNCHANGED not in stderr
    assert len(await indexes_in_use(server, alias)) == 1
    assert await result_of(await running.start_reindex()) == (0, COUNT)
    assert await accepts_writes(server, alias)
    assert len(await indexes(server.url, alias)) == 1


async def test_an_index_that_stays_closed_is_reported(
    server: OpenSearchServer, prepared: tuple[System, str], capfd: pytest.CaptureFixture[str]
) -> None:
    """If the engine goes away after the index was closed, the message says so, and another reindex repairs it."""
    running, _ = prepared
    alias, interception = running.search["SEARCH_INDEX"], Interception(CLOSING, outage=True)
    async with held_reindex(server, running, interception) as process:
        process.send_signal(signal.SIGTERM)
        interception.release.set()
        assert await result_of(process) == (1, "")
    stderr = (await asyncio.to_thread(capfd.readouterr)).err
    assert "may take no writes until it is rebuilt" in stderr
    assert UNCHANGED not in stderr
    assert not await accepts_writes(server, alias)
    assert await result_of(await running.start_reindex()) == (0, COUNT)
    assert await accepts_writes(server, alias)
