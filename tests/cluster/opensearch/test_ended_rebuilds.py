"""Rebuilds that are killed or cancelled at each of their last calls, under load: no acknowledged write is lost."""

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
from harness.search_engines import Engine, open_engine, settings_for

pytestmark = pytest.mark.asyncio(loop_scope="session")


@asynccontextmanager
async def fresh_index(server: OpenSearchServer) -> AsyncIterator[Engine]:
    async with open_engine(settings_for(server.url, f"test-{uuid.uuid4().hex}")) as index:
        yield index


@pytest.mark.timeout(600)
async def test_a_kill_at_any_call_loses_no_write(server: OpenSearchServer) -> None:
    """The index that is in use has all acknowledged writes. A second rebuild repairs an index that refuses writes."""
    refused_writes = 0
    for step in itertools.count():
        async with (
            fresh_index(server) as index,
            started_rebuild(index, step) as process,
            writing(index) as writers,
        ):
            await writers.more()
            await process.communicate(b"go on\n")
            assert await writers.missing() == set(), f"after {step} calls"
            before = writers.refused
            async with index.writer.rebuild() as rebuild:
                await rebuild.write(list(writers.begun))
                refused_writes += writers.refused - before
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
    assert refused_writes, "no kill left an index that refuses writes"


@asynccontextmanager
async def started_rebuild(index: Engine, step: int) -> AsyncIterator[Process]:
    """Start a rebuild in a process that waits for a line and then dies after `step` calls of `finish`."""
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    alias, url = index.settings.search_index, index.settings.search_location
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(Path(__file__).parent / "killed_rebuild.py"), url, alias, str(step)),
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
async def test_a_cancelled_rebuild_leaves_one_index_in_use(
    server: OpenSearchServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At any call: the old index is in use and accepts writes, or the new one does and the rebuild succeeds."""
    succeeded: list[bool] = []
    for step in itertools.count():
        async with fresh_index(server) as index, writing(index) as writers:
            (old,) = await indexes(server.url, index.settings.search_index)
            with monkeypatch.context() as patched:
                task = asyncio.create_task(rebuild_index(index.writer, writers))
                cancel = cancel_after(patched, task, step)
                (result,) = await asyncio.gather(task, return_exceptions=True)
            await writers.more()
            assert await writers.missing() == set(), f"in call {step}"
        names = await indexes(server.url, index.settings.search_index)
        if isinstance(result, asyncio.CancelledError):
            assert list(names) == [old], f"in call {step}"
        else:
            assert result is None, f"in call {step}"
            assert names.get(old, []) == [], f"in call {step}"
        if cancel.remaining >= 0:
            break
        succeeded.append(result is None)
    assert succeeded == sorted(succeeded), "after the swap the new index stays in use"
    assert set(succeeded) == {True, False}


async def rebuild_index(writer: SearchWriter, writers: Writing) -> None:
    async with writer.rebuild() as rebuild:
        await rebuild.write(list(writers.begun))
        await writers.more()
        await rebuild.finish()


class Cancel:
    remaining = 0


def cancel_after(patched: pytest.MonkeyPatch, task: "asyncio.Task[None]", step: int) -> Cancel:
    """Cancel the task during the call that follows `step` calls of its rebuild."""
    cancel = Cancel()
    # The first calls create the index; a cancellation there has nothing to undo.
    cancel.remaining = step
    call = OpenSearchClient.call

    async def counted(
        client: OpenSearchClient, operation: str, *arguments: Any, **options: Any
    ) -> Any:
        if operation == "rebuild":
            if cancel.remaining == 0:
                asyncio.get_running_loop().call_later(0.001, task.cancel)
            cancel.remaining -= 1
        return await call(client, operation, *arguments, **options)

    patched.setattr(OpenSearchClient, "call", counted)
    return cancel
