"""A real OpenSearch server that a test can kill, suspend and restart."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from opensearchpy import AsyncHttpConnection, AsyncOpenSearch

# Import it before any test runs: an import during a test would block the event loop.
import core.search.opensearch.engine  # noqa: F401
from backends import jars
from backends.jvm import Jvm
from cli.local.embedded_aws import endpoint_of, free_port

HEAP = "1g"


def opensearch_jars() -> Path:
    """Return the folder of the jars. Raises UsageError, which names the missing tool."""
    try:
        return jars.fetch(jars.OPENSEARCH)
    except jars.BackendMissing as missing:
        raise pytest.UsageError(str(missing)) from None


@dataclass(slots=True)
class OpenSearchServer:
    """A cluster of one node. Its data in `folder` survives a kill, if the write was acknowledged."""

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
        """Start it, in three seconds on a quiet machine. It recovers its indexes a moment later."""
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
        """Send SIGKILL."""
        if self.jvm is not None:
            await self.jvm.stop()

    async def recover(self) -> None:
        """Resume or restart it, if it is suspended or has ended."""
        if self.jvm is None or self.jvm.process.returncode is not None:
            await self.start()
        else:
            self.resume()

    def hang(self) -> None:
        """Suspend it: its connections stay open, and it does not respond."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        os.kill(self.pid, signal.SIGCONT)


@asynccontextmanager
async def raw(url: str) -> AsyncIterator[AsyncOpenSearch]:
    """Open a client with a long timeout."""
    client = AsyncOpenSearch(hosts=[url], connection_class=AsyncHttpConnection, timeout=60)
    try:
        yield client
    finally:
        await client.close()


async def indexes(url: str, alias: str) -> dict[str, list[str]]:
    """Return the indexes of an alias, current or abandoned, with the aliases of each."""
    async with raw(url) as client:
        found = await client.indices.get_alias(index=f"{alias}_*")
    return {index: sorted(details["aliases"]) for index, details in found.items()}


@asynccontextmanager
async def opensearch(folder: Path, *, heap: str = HEAP) -> AsyncIterator[OpenSearchServer]:
    """Run a server with its data in `folder`. `heap` has the format of Java's -Xmx."""
    server = OpenSearchServer(folder, heap)
    try:
        await server.start()
        yield server
    finally:
        await server.kill()
