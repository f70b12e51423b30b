"""OpenSearch, Redis and the indexer are killed and restarted under load, one after another."""

from pathlib import Path

import pytest

from cluster.readside.findable import search_all, until_found
from cluster.readside.load import CUSTOMERS, SEARCH_DOWN, Load, load
from harness.aws import RecordingAws
from harness.metrics import MetricsPort
from harness.opensearch import OpenSearchServer, opensearch
from harness.origin import origin
from harness.redis_server import RedisServer, redis_server
from harness.stores import Stores, stores_of
from harness.system import System, system
from imageservice.v1 import image_service_pb2 as pb

pytestmark = pytest.mark.timeout(600)

REQUESTS_BETWEEN = 60
"""Requests that are accepted between two kills or restarts."""
PAGE_SIZES = (100, 7)
VISIBILITY_TIMEOUT_S = "20"
"""After this time other indexers receive the messages of a killed indexer."""


async def test_kills_of_the_read_side_lose_nothing(
    embedded_aws: RecordingAws, tmp_path: Path
) -> None:
    """No submit fails, no state is wrong, every request ends, and afterwards each image is found exactly once."""
    server_port = MetricsPort()
    async with (
        opensearch(tmp_path) as engine,
        redis_server(tmp_path) as redis,
        origin() as images,
        system(embedded_aws, VisibilityTimeoutSeconds=VISIBILITY_TIMEOUT_S) as running,
        stores_of(running) as stores,
    ):
        running.search = {"SEARCH_URL": engine.url}
        await running.start_server(REDIS_URL=redis.url, **server_port.settings)
        await running.start_consumer(REDIS_URL=redis.url)
        indexer = await running.start_indexer()
        async with load(running, images) as traffic:
            await traffic.wait_search("OK")
            await traffic.wait_submitted(REQUESTS_BETWEEN)
            await _kill_engine(engine, traffic)
            await _kill_redis(redis, traffic, server_port)
            indexer.kill()
            await indexer.wait()
            await traffic.wait_submitted(REQUESTS_BETWEEN)
            await running.start_indexer()
            await traffic.wait_submitted(REQUESTS_BETWEEN)
        assert traffic.faults == []
        assert traffic.searched.keys() == {"OK", SEARCH_DOWN}
        await _check_all(running, stores, traffic)


async def _kill_engine(engine: OpenSearchServer, traffic: Load) -> None:
    await engine.kill()
    await traffic.wait_search(SEARCH_DOWN)
    await traffic.wait_submitted(REQUESTS_BETWEEN)
    await engine.start()
    await traffic.wait_search("OK")
    await traffic.wait_submitted(REQUESTS_BETWEEN)


async def _kill_redis(redis: RedisServer, traffic: Load, server_port: MetricsPort) -> None:
    await redis.kill()
    await traffic.wait_submitted(REQUESTS_BETWEEN)
    assert (await server_port.scrape()).value("redis_up", use="news") == 0
    await redis.start()
    await traffic.wait_submitted(REQUESTS_BETWEEN)


async def _check_all(running: System, stores: Stores, traffic: Load) -> None:
    """Check the tables, which only the consumer writes, and the searches of every customer."""
    rows = {row["requestId"]["S"]: row["status"]["S"] for row in await stores.requests()}
    expected = {
        request_id: pb.State.Name(each.expected).removeprefix("STATE_")
        for request_id, each in traffic.submitted.items()
    }
    assert rows == expected
    async with running.stub() as stub:
        for customer in CUSTOMERS:
            ids = sorted(traffic.expected(customer))
            assert len(ids) > REQUESTS_BETWEEN
            await until_found(stub, customer, len(ids))
            for page_size in PAGE_SIZES:
                images = await search_all(stub, customer, page_size)
                assert sorted(image.request_id for image in images) == ids
    depths = [
        await stores.depth(url)
        for url in (
            running.stack.failed_requests_queue_url,
            running.stack.dlq_url,
            running.stack.search_dlq_url,
        )
    ]
    failed = sum(each.expected == pb.STATE_FAILED for each in traffic.submitted.values())
    assert depths == [failed, 0, 0]
