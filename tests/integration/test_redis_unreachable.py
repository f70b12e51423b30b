"""REDIS_URL with a closed port: the service behaves as it does without REDIS_URL."""

import asyncio
import uuid
from collections.abc import Iterator

import pytest
from prometheus_client.metrics import MetricWrapperBase

from cli.local.embedded_aws import HOST
from consumer.notify.outcome import outcome_of
from consumer.notify.redis_publisher import RedisPublisher
from core.dynamodb.tables import Tables
from core.redis.completed_requests import open_completed_requests
from core.redis.connection import RedisConnection, RedisUnavailable
from core.redis.metrics import REDIS_CALLS, REDIS_DROPPED, REDIS_UP
from core.resilience.backoff import Backoff
from harness.grpc_client import ended_ok, states, submit_request
from harness.outcomes import complete
from harness.reserved_port import closed_port
from harness.running_server import ServerFactory
from imageservice.v1 import image_service_pb2 as pb


@pytest.fixture
def unreachable_url() -> Iterator[str]:
    with closed_port() as port:
        yield f"redis://{HOST}:{port}"


def value(metric: MetricWrapperBase, **labels: str) -> float:
    """Return the sum of the samples that have these labels."""
    (family,) = metric.collect()
    return sum(
        sample.value
        for sample in family.samples
        if labels.items() <= sample.labels.items() and not sample.name.endswith("_created")
    )


async def test_responses_are_correct_and_watches_end(
    servers: ServerFactory, tables: Tables, unreachable_url: str
) -> None:
    """The server reads the tables and polls them, at the same intervals as without Redis."""
    async with servers.running(redis_url=unreachable_url) as server:
        request_id = str(uuid.uuid4())
        await server.stub.SubmitImage(submit_request(request_id))
        call = server.stub.WatchRequest(pb.WatchRequestRequest(request_ids=[request_id]))
        assert await states(call, 1) == {request_id: (pb.STATE_PENDING, 1)}
        await complete(tables, request_id)
        assert await states(call, 1) == {request_id: (pb.STATE_COMPLETED, 2)}
        assert await ended_ok(call)
        response = await server.stub.GetStatus(pb.GetStatusRequest(request_id=request_id))
        assert response.request.state == pb.STATE_COMPLETED
        assert response.request.image.image_id


async def test_publishing_does_not_wait_or_fail(
    servers: ServerFactory, tables: Tables, unreachable_url: str
) -> None:
    """Events that cannot be published are dropped and counted."""
    store = open_completed_requests(servers.settings(redis_url=unreachable_url))
    assert store is not None
    publisher = RedisPublisher(tables, store)
    request_id = str(uuid.uuid4())
    async with servers.running() as server:
        await server.stub.SubmitImage(submit_request(request_id))
    await complete(tables, request_id)
    request = await tables.read_request(request_id)
    assert request is not None
    outcome = outcome_of(request, await tables.read_image(request_id))
    dropped = value(REDIS_DROPPED)
    for _ in range(5_000):
        publisher.publish(outcome)
    await publisher.drain()
    assert value(REDIS_DROPPED) == dropped + 5_000
    await store.close()


async def test_an_open_circuit_breaker_prevents_calls(unreachable_url: str) -> None:
    """After one failure, a thousand calls fail without a connection attempt."""
    connection = RedisConnection(unreachable_url)
    connection._breaker._open_time = Backoff.between(60, 60)

    async def ping() -> None:
        with pytest.raises(RedisUnavailable):
            await connection.call("read", lambda client: client.get("key"))

    await ping()
    calls = value(REDIS_CALLS)
    await asyncio.gather(*(ping() for _ in range(1_000)))
    assert value(REDIS_CALLS) == calls
    assert value(REDIS_UP, use="calls") == 0
    await connection.close()


@pytest.mark.parametrize(
    "url", ["http://cache.example", "cache.example:6379", "", "redis://", "redis://a:b"]
)
def test_an_invalid_redis_url_is_rejected(servers: ServerFactory, url: str) -> None:
    """The settings fail to load at start-up, with an error that names the variable."""
    with pytest.raises(ValueError, match="redis_url"):
        servers.settings(redis_url=url)
