"""Fixtures: an OpenSearch that tests may kill and stop, and an index in it.

All share one event loop, because a process can be awaited only in the loop that started it.
"""

import uuid
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from core.search.settings import SearchSettings
from harness.opensearch import OpenSearchServer, opensearch
from harness.search_engines import Engine, open_engine, settings_for


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[OpenSearchServer]:
    async with opensearch(tmp_path_factory.mktemp("opensearch")) as server:
        yield server


@pytest_asyncio.fixture(loop_scope="session")
async def server(running: OpenSearchServer) -> AsyncIterator[OpenSearchServer]:
    """A healthy server at the start of the test. The test may leave it broken."""
    yield running
    await running.recover()


@pytest.fixture
def settings(server: OpenSearchServer) -> SearchSettings:
    return settings_for(server.url, f"test-{uuid.uuid4().hex}")


@pytest_asyncio.fixture(loop_scope="session")
async def index(settings: SearchSettings) -> AsyncIterator[Engine]:
    """An empty index per test. Its reader and writer have long timeouts."""
    async with open_engine(settings) as engine:
        yield engine
