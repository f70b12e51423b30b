"""Fixtures: a Redis per test, and servers that use it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from cli.local.stack import StackOutputs
from consumer.notify.redis_publisher import RedisPublisher
from core.aws.client import open_aws
from core.dynamodb.tables import Tables
from core.redis import connection
from core.redis.completed_requests import CompletedRequestStore, open_completed_requests
from core.settings import CoreSettings
from harness.aws import DeployStack, RecordingAws
from harness.redis_server import RedisServer, redis_program, redis_server
from harness.running_server import ServerFactory
from harness.tables import tables_of
from server.watch import redis_subscriber

_TIMEOUT_S = 20.0


@pytest.fixture(scope="session", autouse=True)
def _redis_is_installed() -> None:
    redis_program()


@pytest.fixture
def _long_timeouts(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine a correct response may come after the normal timeout."""
    monkeypatch.setattr(connection, "CALL_TIMEOUT_S", _TIMEOUT_S)
    monkeypatch.setattr(connection, "CONNECT_TIMEOUT_S", _TIMEOUT_S)
    monkeypatch.setattr(redis_subscriber, "_SUBSCRIBE_TIMEOUT_S", _TIMEOUT_S)


@pytest_asyncio.fixture
async def redis(tmp_path: Path) -> AsyncIterator[RedisServer]:
    async with redis_server(tmp_path) as server:
        yield server


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def stack(deploy_stack: DeployStack) -> StackOutputs:
    return await deploy_stack("redis-tests")


@pytest_asyncio.fixture
async def servers(
    embedded_aws: RecordingAws, stack: StackOutputs, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[ServerFactory]:
    for name, value in embedded_aws.environment("server").items():
        monkeypatch.setenv(name, value)
    async with open_aws() as aws:
        yield ServerFactory(aws, stack)


@pytest_asyncio.fixture
async def tables(embedded_aws: RecordingAws, stack: StackOutputs) -> AsyncIterator[Tables]:
    """The tables, for writes that a consumer makes."""
    async with tables_of(embedded_aws.environment("tests"), stack) as opened:
        yield opened


@pytest_asyncio.fixture
async def store(servers: ServerFactory, redis: RedisServer) -> AsyncIterator[CompletedRequestStore]:
    """The store of a consumer."""
    settings: CoreSettings = servers.settings(redis_url=redis.url)
    opened = open_completed_requests(settings)
    assert opened is not None
    yield opened
    await opened.close()


@pytest.fixture
def publisher(tables: Tables, store: CompletedRequestStore) -> RedisPublisher:
    return RedisPublisher(tables, store)
