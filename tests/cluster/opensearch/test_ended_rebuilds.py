"""Rebuilds that are killed or cancelled at each of their last steps, while all goes on: nothing taken is lost."""

import asyncio
import itertools
import os
import signal
import sys
import uuid
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from cluster.opensearch.writing import Writing, writing
from core.search.engine import SearchWriter
from core.search.opensearch.client import OpenSearchClient
from harness.aws import ROOT
from harness.opensearch import OpenSearchServer, indexes
from harness.search_engines import Engine, opened, settings_for

pytestmark = pytest.mark.asyncio(loop_scope="session")


@asynccontextmanager
async def an_index(server: OpenSearchServer) -> AsyncIterator[Engine]:
    async with opened(settings_for(server.url, f"test-{uuid.uuid4().hex}")) as index:
        yield index


@pytest.mark.timeout(600)
async def test_a_kill_at_any_step_loses_nothing(server: OpenSearchServer) -> None:
    """Whichever index is read then has all that was taken; a second rebuild mends what takes no writes."""
    refused = 0
    for step in itertools.count():
        async with (
            an_index(server) as index,
            begun(index, step) as process,
            writing(index) as writers,
        ):
            await writers.more()
            await process.communicate(b"go on\n")
            assert await writers.missing() == set(), f"after {step} calls"
            before = writers.refused
            async with index.writer.rebuild() as rebuild:
                await rebuild.write(list(writers.begun))
                refused += writers.refused - before
                await rebuild.finish()
            await writers.more()
            assert await writers.missing() == set(), f"after {step} calls and another rebuild"
        assert list((await indexes(server.url, index.settings.search_index)).values()) == [
            [index.settings.search_index]
        ]
        if process.returncode == 0:
            break
        assert process.returncode == -signal.SIGKILL
    assert step > 10
    assert refused, "no kill left an index that takes no writes"


@asynccontextmanager
async def begun(index: Engine, step: int) -> AsyncIterator[Process]:
    """A rebuild in a process, which waits for a line and then dies after so many calls of `finish`."""
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    alias, url = index.settings.search_index, index.settings.search_location
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(Path(__file__).parent / "abandoned.py"), url, alias, str(step)),
        env={**os.environ, "PYTHONPATH": path},
        stdin=PIPE,
        stdout=PIPE,
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(60):
            assert await process.stdout.readline() == b"building\n"
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@pytest.mark.timeout(600)
async def test_whoever_is_cancelled_leaves_one_index_or_the_other(
    server: OpenSearchServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At any step: the old one is read and takes writes, or the new one does, and then it was no cancellation."""
    told: list[bool] = []
    for step in itertools.count():
        async with an_index(server) as index, writing(index) as writers:
            (old,) = await indexes(server.url, index.settings.search_index)
            with monkeypatch.context() as patched:
                ending = asyncio.create_task(rebuilt(index.writer, writers))
                cancel = cancel_in(patched, ending, step)
                (answer,) = await asyncio.gather(ending, return_exceptions=True)
            await writers.more()
            assert await writers.missing() == set(), f"in call {step}"
        names = await indexes(server.url, index.settings.search_index)
        if isinstance(answer, asyncio.CancelledError):
            assert list(names) == [old], f"in call {step}"
        else:
            assert answer is None, f"in call {step}"
            assert names.get(old, []) == [], f"in call {step}"
        if cancel.left >= 0:
            break
        told.append(answer is None)
    assert told == sorted(told), "once the new one is read, it stays"
    assert set(told) == {True, False}


async def rebuilt(writer: SearchWriter, writers: Writing) -> None:
    async with writer.rebuild() as rebuild:
        await rebuild.write(list(writers.begun))
        await writers.more()
        await rebuild.finish()


class Cancel:
    left = 0


def cancel_in(patched: pytest.MonkeyPatch, task: "asyncio.Task[None]", step: int) -> Cancel:
    """Cancel the task when the call after so many of its rebuild is under way."""
    cancel = Cancel()
    # Those of its beginning come first, where nothing is to be undone.
    cancel.left = step
    call = OpenSearchClient.call

    async def counted(
        client: OpenSearchClient, operation: str, *arguments: Any, **options: Any
    ) -> Any:
        if operation == "rebuild":
            if cancel.left == 0:
                asyncio.get_running_loop().call_later(0.001, task.cancel)
            cancel.left -= 1
        return await call(client, operation, *arguments, **options)

    patched.setattr(OpenSearchClient, "call", counted)
    return cancel
