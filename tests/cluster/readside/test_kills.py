"""OpenSearch, Redis and the indexer are killed under load, one after another, and come back."""

from pathlib import Path

import pytest

from cluster.readside.findable import found, until_found
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

MEANWHILE = 60
"""Requests that are accepted between two events."""
PAGE_SIZES = (100, 7)
HELD_S = "20"
"""After which others get the events that a killed indexer had received."""


async def test_nothing_is_lost_whoever_is_killed(
    embedded_aws: RecordingAws, tmp_path: Path
) -> None:
    """No submit fails, no state is wrong, every request ends, and in the end each image is found exactly once."""
    server_port = MetricsPort()
    async with (
        opensearch(tmp_path) as engine,
        redis_server(tmp_path) as redis,
        origin() as images,
        system(embedded_aws, VisibilityTimeoutSeconds=HELD_S) as running,
        stores_of(running) as stores,
    ):
        running.search = {"SEARCH_URL": engine.url}
        await running.start_server(REDIS_URL=redis.url, **server_port.settings)
        await running.start_consumer(REDIS_URL=redis.url)
        indexer = await running.start_indexer()
        async with load(running, images) as put:
            await put.next_search("OK")
            await put.go_on(MEANWHILE)
            await _engine_dies(engine, put)
            await _redis_dies(redis, put, server_port)
            indexer.kill()
            await indexer.wait()
            await put.go_on(MEANWHILE)
            await running.start_indexer()
            await put.go_on(MEANWHILE)
        assert put.faults == []
        assert put.searched.keys() == {"OK", SEARCH_DOWN}
        await _all_is_there(running, stores, put)


async def _engine_dies(engine: OpenSearchServer, put: Load) -> None:
    await engine.kill()
    await put.next_search(SEARCH_DOWN)
    await put.go_on(MEANWHILE)
    await engine.start()
    await put.next_search("OK")
    await put.go_on(MEANWHILE)


async def _redis_dies(redis: RedisServer, put: Load, server_port: MetricsPort) -> None:
    await redis.kill()
    await put.go_on(MEANWHILE)
    assert (await server_port.scrape()).value("redis_up", use="news") == 0
    await redis.start()
    await put.go_on(MEANWHILE)


async def _all_is_there(running: System, stores: Stores, put: Load) -> None:
    """By the tables, which nobody but the consumer wrote, and by searches of every customer."""
    rows = {row["requestId"]["S"]: row["status"]["S"] for row in await stores.requests()}
    expected = {
        request_id: pb.State.Name(each.expected).removeprefix("STATE_")
        for request_id, each in put.submitted.items()
    }
    assert rows == expected
    async with running.stub() as stub:
        for customer in CUSTOMERS:
            ids = sorted(put.expected(customer))
            assert len(ids) > MEANWHILE
            await until_found(stub, customer, len(ids))
            for page_size in PAGE_SIZES:
                images = await found(stub, customer, page_size)
                assert sorted(image.request_id for image in images) == ids
    depths = [
        await stores.depth(url)
        for url in (
            running.stack.failed_requests_queue_url,
            running.stack.dlq_url,
            running.stack.search_dlq_url,
        )
    ]
    failed = sum(each.expected == pb.STATE_FAILED for each in put.submitted.values())
    assert depths == [failed, 0, 0]
