"""A real OpenSearch on a port of its own, to be killed, stopped and started again."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from opensearchpy import AsyncHttpConnection, AsyncOpenSearch

# Otherwise it is imported when a test first opens an engine, and an import blocks the loop.
import core.search.opensearch.engine  # noqa: F401
from backends import jars
from backends.jvm import Jvm
from cli.local.embedded_aws import endpoint_of, free_port

HEAP = "1g"


def opensearch_jars() -> Path:
    """Raises UsageError, which says what to install."""
    try:
        return jars.fetch(jars.OPENSEARCH)
    except jars.BackendMissing as missing:
        raise pytest.UsageError(str(missing)) from None


@dataclass(slots=True)
class OpenSearchServer:
    """A cluster of one node. It keeps its data in `folder`: whoever was killed knows all that it had acknowledged."""

    folder: Path
    heap: str = HEAP
    port: int = field(default_factory=free_port)
    jvm: Jvm | None = None

    @property
    def url(self) -> str:
        return endpoint_of(self.port)

    @property
    def pid(self) -> int:
        assert self.jvm is not None
        return self.jvm.process.pid

    async def start(self) -> None:
        """Takes three seconds on a quiet machine. Indexes that it had are recovered a moment after that."""
        found = await asyncio.to_thread(opensearch_jars)
        self.jvm = await Jvm.start(
            "opensearch",
            found,
            self.folder,
            port=self.port,
            heap=self.heap,
            arguments=(str(self.folder),),
        )

    async def kill(self) -> None:
        """Like kill -9."""
        if self.jvm is not None:
            await self.jvm.stop()

    async def mend(self) -> None:
        """Let it go on, or start it again; harmless where it is well."""
        if self.jvm is None or self.jvm.process.returncode is not None:
            await self.start()
        else:
            self.go_on()

    def hang(self) -> None:
        """Its connections stay open, and nothing answers."""
        os.kill(self.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        os.kill(self.pid, signal.SIGCONT)


@asynccontextmanager
async def raw(url: str) -> AsyncIterator[AsyncOpenSearch]:
    """The suite's own hand in it, which waits as long as it takes."""
    client = AsyncOpenSearch(hosts=[url], connection_class=AsyncHttpConnection, timeout=60)
    try:
        yield client
    finally:
        await client.close()


async def indexes(url: str, alias: str) -> dict[str, list[str]]:
    """The indexes of an alias, read or left behind, with the aliases of each."""
    async with raw(url) as client:
        found = await client.indices.get_alias(index=f"{alias}_*")
    return {index: sorted(told["aliases"]) for index, told in found.items()}


@asynccontextmanager
async def opensearch(folder: Path, *, heap: str = HEAP) -> AsyncIterator[OpenSearchServer]:
    """A running one; `folder` is a place of its own, and `heap` is as Java writes it."""
    server = OpenSearchServer(folder, heap)
    try:
        await server.start()
        yield server
    finally:
        await server.kill()
