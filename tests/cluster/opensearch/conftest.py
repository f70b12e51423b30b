"""An OpenSearch of these tests' own, which they kill and stop, and an index in it.

All of them share one event loop: a process can be waited for only where it was started.
"""

import uuid
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from core.search.settings import SearchSettings
from harness.opensearch import OpenSearchServer, opensearch
from harness.search_engines import Engine, opened, settings_for


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[OpenSearchServer]:
    async with opensearch(tmp_path_factory.mktemp("opensearch")) as server:
        yield server


@pytest_asyncio.fixture(loop_scope="session")
async def server(running: OpenSearchServer) -> AsyncIterator[OpenSearchServer]:
    """It is well when the test begins, and need not be when it ends."""
    yield running
    await running.mend()


@pytest.fixture
def settings(server: OpenSearchServer) -> SearchSettings:
    return settings_for(server.url, f"test-{uuid.uuid4().hex}")


@pytest_asyncio.fixture(loop_scope="session")
async def index(settings: SearchSettings) -> AsyncIterator[Engine]:
    """Empty, and the test's own; its reader and writer are patient."""
    async with opened(settings) as engine:
        yield engine
