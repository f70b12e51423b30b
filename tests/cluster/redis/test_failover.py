"""The primary changes, and its name leads to the new one, as ElastiCache does it."""

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

pytestmark = pytest.mark.usefixtures("_patient")
PATIENCE_S = 60
MINUTES: dict[str, Any] = {"watch_shortest_interval_s": 300, "watch_longest_interval_s": 600}


@dataclass(slots=True)
class Name:
    """An address whose new connections go to `port`; those there are stay where they are, as with a name in DNS."""

    port: int
    own: int = 0
    tasks: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def url(self) -> str:
        return f"redis://{HOST}:{self.own}"

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(HOST, self.port)
        for source, sink in ((reader, back), (there, writer)):
            task = asyncio.create_task(_passed_on(source, sink))
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)


async def _passed_on(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    try:
        with suppress(OSError):
            while some := await source.read(65_536):
                sink.write(some)
                await sink.drain()
    finally:
        sink.close()


@asynccontextmanager
async def name_of(redis: RedisServer) -> AsyncIterator[Name]:
    name = Name(redis.port)
    server = await asyncio.start_server(name.connected, HOST, 0)
    name.own = server.sockets[0].getsockname()[1]
    try:
        yield name
    finally:
        server.close()
        left = list(name.tasks)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        await server.wait_closed()


async def follow(client: Redis, primary: RedisServer) -> None:
    """Make a Redis a replica, and wait until it has caught up."""
    await client.replicaof(HOST, primary.port)
    async with asyncio.timeout(PATIENCE_S):
        while (await client.info("replication"))["master_link_status"] != "up":  # noqa: ASYNC110  another process does it
            await asyncio.sleep(0.02)


async def until_available(link: RedisConnection) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not link.available:  # noqa: ASYNC110  a task of its own finds out
            await asyncio.sleep(0.02)


async def test_the_new_primary_is_found_by_its_name(
    redis: RedisServer, servers: ServerFactory, tables: Tables, tmp_path: Path
) -> None:
    """Writes go there, though the old one lives on as a replica; and who subscribed at the old one hears what is told
    to the new one."""
    counting = servers.tables(CountingTables)
    async with (
        redis_server(tmp_path) as other,
        name_of(redis) as name,
        redis.client as old,
        other.client as new,
        servers.running(tables=counting, redis_url=name.url, **MINUTES) as server,
    ):
        await follow(new, redis)
        shared = CompletedRequestStore(RedisConnection(name.url), servers.stack.requests_table, 600)
        await redis.heard_by(shared.channel, 1)
        request_id = str(uuid.uuid4())
        await server.stub.SubmitImage(submit_request(request_id))
        call = server.stub.WatchRequest(pb.WatchRequestRequest(request_ids=[request_id]))
        assert await states(call, 1) == {request_id: (pb.STATE_PENDING, 1)}
        known = completed(str(uuid.uuid4()))
        await shared.publish([RequestEvent(completed=known)])
        assert await shared.read(known.request.request_id) == known

        await new.replicaof("NO", "ONE")
        await follow(old, other)
        name.port = other.port
        later = completed(str(uuid.uuid4()))
        await shared.publish([RequestEvent(completed=later)])
        assert not shared.connection.available
        await until_available(shared.connection)
        await complete(tables, request_id)
        await shared.publish([RequestEvent(completed=later, notification_id=f"{request_id}:2")])
        assert await new.exists(f"{shared.channel}:{later.request.request_id}")
        async with asyncio.timeout(PATIENCE_S):
            assert await states(call, 1) == {request_id: (pb.STATE_COMPLETED, 2)}
        assert await redis.listeners(shared.channel) == 1
        await shared.close()


async def test_a_replica_is_not_used_however_well_it_reads(redis: RedisServer) -> None:
    """It is told once, and not taken for a primary that is back: calls do not go to and fro until it is one."""
    link = RedisConnection(redis.url)
    async with redis.client as client:
        await client.replicaof(HOST, redis.port + 1)
        with capture_logs() as lines:
            link.start()
            async with asyncio.timeout(PATIENCE_S):
                while link.available:  # noqa: ASYNC110  a task of its own finds out
                    await asyncio.sleep(0.02)
            for _ in range(100):
                with pytest.raises(RedisUnavailable):
                    await link.call("read", lambda client: client.get("key"))
                await asyncio.sleep(0.02)
            await client.replicaof("NO", "ONE")
            await until_available(link)
        assert [line["event"] for line in lines] == ["redis unavailable", "redis recovered"]
        assert "replica" in lines[0]["error"]
        assert await link.call("read", lambda client: client.get("key")) is None
    await link.close()
