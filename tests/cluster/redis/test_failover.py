"""Failover: the endpoint name resolves to the new primary, as with ElastiCache."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis
from structlog.testing import capture_logs

from cli.local.embedded_aws import HOST
from cluster.redis.documents import completed
from core.dynamodb.tables import Tables
from core.redis.completed_requests import CompletedRequestStore, RequestEvent
from core.redis.connection import RedisConnection, RedisUnavailable
from harness.counting_tables import CountingTables
from harness.grpc_client import states, submit_request
from harness.outcomes import complete
from harness.redis_server import RedisServer, redis_server
from harness.running_server import ServerFactory
from imageservice.v1 import image_service_pb2 as pb

pytestmark = pytest.mark.usefixtures("_long_timeouts")
TIMEOUT_S = 60
MINUTES: dict[str, Any] = {"watch_shortest_interval_s": 300, "watch_longest_interval_s": 600}


@dataclass(slots=True)
class Endpoint:
    """A proxy for new connections to `port`. Like with a DNS change, existing connections stay at the old port."""

    port: int
    own_port: int = 0
    tasks: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def url(self) -> str:
        return f"redis://{HOST}:{self.own_port}"

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        redis_reader, redis_writer = await asyncio.open_connection(HOST, self.port)
        for source, sink in ((reader, redis_writer), (redis_reader, writer)):
            task = asyncio.create_task(_copy(source, sink))
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)


async def _copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    try:
        with suppress(OSError):
            while chunk := await source.read(65_536):
                sink.write(chunk)
                await sink.drain()
    finally:
        sink.close()


@asynccontextmanager
async def endpoint_of(redis: RedisServer) -> AsyncIterator[Endpoint]:
    endpoint = Endpoint(redis.port)
    server = await asyncio.start_server(endpoint.connected, HOST, 0)
    endpoint.own_port = server.sockets[0].getsockname()[1]
    try:
        yield endpoint
    finally:
        server.close()
        remaining = list(endpoint.tasks)
        for task in remaining:
            task.cancel()
        await asyncio.gather(*remaining, return_exceptions=True)
        await server.wait_closed()


async def replicate(client: Redis, primary: RedisServer) -> None:
    """Make a Redis a replica and wait until it is in sync."""
    await client.replicaof(HOST, primary.port)
    async with asyncio.timeout(TIMEOUT_S):
        while (await client.info("replication"))["master_link_status"] != "up":  # noqa: ASYNC110  another process does it
            await asyncio.sleep(0.02)


async def until_available(connection: RedisConnection) -> None:
    async with asyncio.timeout(TIMEOUT_S):
        while not connection.available:  # noqa: ASYNC110  a background task changes it
            await asyncio.sleep(0.02)


async def test_clients_follow_the_endpoint_to_the_new_primary(
    redis: RedisServer, servers: ServerFactory, tables: Tables, tmp_path: Path
) -> None:
    """Writes go to the new primary, although the old one runs on as a replica. A subscription at the old one gets
    the events that are published at the new one."""
    counting = servers.tables(CountingTables)
    async with (
        redis_server(tmp_path) as other,
        endpoint_of(redis) as endpoint,
        redis.client as old,
        other.client as new,
        servers.running(tables=counting, redis_url=endpoint.url, **MINUTES) as server,
    ):
        await replicate(new, redis)
        store = CompletedRequestStore(
            RedisConnection(endpoint.url), servers.stack.requests_table, 600
        )
        await redis.wait_subscribers(store.channel, 1)
        request_id = str(uuid.uuid4())
        await server.stub.SubmitImage(submit_request(request_id))
        call = server.stub.WatchRequest(pb.WatchRequestRequest(request_ids=[request_id]))
        assert await states(call, 1) == {request_id: (pb.STATE_PENDING, 1)}
        known = completed(str(uuid.uuid4()))
        await store.publish([RequestEvent(completed=known)])
        assert await store.read(known.request.request_id) == known

        await new.replicaof("NO", "ONE")
        await replicate(old, other)
        endpoint.port = other.port
        later = completed(str(uuid.uuid4()))
        await store.publish([RequestEvent(completed=later)])
        assert not store.connection.available
        await until_available(store.connection)
        await complete(tables, request_id)
        await store.publish([RequestEvent(completed=later, notification_id=f"{request_id}:2")])
        assert await new.exists(f"{store.channel}:{later.request.request_id}")
        async with asyncio.timeout(TIMEOUT_S):
            assert await states(call, 1) == {request_id: (pb.STATE_COMPLETED, 2)}
        assert await redis.subscribers(store.channel) == 1
        await store.close()


async def test_a_replica_is_not_used(redis: RedisServer) -> None:
    """Not even for reads. It is logged once, and no call reaches it until it is a primary."""
    connection = RedisConnection(redis.url)
    async with redis.client as client:
        await client.replicaof(HOST, redis.port + 1)
        with capture_logs() as lines:
            connection.start()
            async with asyncio.timeout(TIMEOUT_S):
                while connection.available:  # noqa: ASYNC110  a background task changes it
                    await asyncio.sleep(0.02)
            for _ in range(100):
                with pytest.raises(RedisUnavailable):
                    await connection.call("read", lambda client: client.get("key"))
                await asyncio.sleep(0.02)
            await client.replicaof("NO", "ONE")
            await until_available(connection)
        assert [line["event"] for line in lines] == ["redis unavailable", "redis recovered"]
        assert "replica" in lines[0]["error"]
        assert await connection.call("read", lambda client: client.get("key")) is None
    await connection.close()
