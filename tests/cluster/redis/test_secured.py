"""Redis with TLS and a password: every connection uses both. If one fails, the log says why, without the password."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable, MutableMapping
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from structlog.testing import capture_logs

from cluster.redis.secured_redis import (
    OTHER_HOST,
    PASSWORD,
    USER,
    Certificates,
    SecuredRedis,
    secure,
)
from consumer.notify.outcome import outcome_of
from consumer.notify.redis_publisher import RedisPublisher
from core.dynamodb.tables import Tables
from core.redis.completed_requests import open_completed_requests
from core.redis.metrics import REDIS_UP
from harness.counting_tables import CountingTables
from harness.grpc_client import ended_ok, states, submit_request
from harness.outcomes import complete
from harness.redis_server import RedisServer
from harness.running_server import ServerFactory
from imageservice.v1 import image_service_pb2 as pb

pytestmark = pytest.mark.usefixtures("_long_timeouts")
MINUTES: dict[str, Any] = {"watch_shortest_interval_s": 300, "watch_longest_interval_s": 600}
PUSHED_S = 20
"""Long before the first poll, however slow the machine."""
WRONG = "not-the-p4ssword"
UNUSED = ["redis subscription lost", "redis unavailable"]


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    return Certificates.in_folder(tmp_path)


@pytest_asyncio.fixture
async def tls(redis: RedisServer, certificates: Certificates) -> AsyncIterator[SecuredRedis]:
    yield await secure(redis, certificates)


def up(use: str) -> float:
    (metric,) = REDIS_UP.collect()
    return sum(each.value for each in metric.samples if each.labels["use"] == use)


async def test_cache_and_push_use_tls(
    servers: ServerFactory, tables: Tables, tls: SecuredRedis
) -> None:
    """Every connection uses TLS, including the subscription, with a user that has only the necessary permissions."""
    counting = servers.tables(CountingTables)
    store = open_completed_requests(servers.settings(redis_url=tls.url))
    assert store is not None
    async with servers.running(tables=counting, redis_url=tls.url, **MINUTES) as server:
        await tls.plain.wait_subscribers(store.channel, 1)
        request_id = str(uuid.uuid4())
        await server.stub.SubmitImage(submit_request(request_id))
        call = server.stub.WatchRequest(pb.WatchRequestRequest(request_ids=[request_id]))
        assert await states(call, 1) == {request_id: (pb.STATE_PENDING, 1)}
        before = counting.reads
        await complete(tables, request_id)
        request = await tables.read_request(request_id)
        assert request is not None
        publisher = RedisPublisher(tables, store)
        async with asyncio.timeout(PUSHED_S):
            publisher.publish(outcome_of(request, await tables.read_image(request_id)))
            await publisher.drain()
            assert await states(call, 1) == {request_id: (pb.STATE_COMPLETED, 2)}
            assert await ended_ok(call)
        assert (counting.reads, counting.polls) == (before, 0)
        connections = await tls.connections()
        assert {each["laddr"] for each in connections} == {f"127.0.0.1:{tls.tls_port}"}
        assert sorted({each["sub"] for each in connections}) == ["0", "1"]
        assert (up("calls"), up("news")) == (1, 1)
    await store.close()


def unknown_authority(tls: SecuredRedis) -> str:
    return tls.url_of(authority=tls.certificates.unknown)


def system_authorities(tls: SecuredRedis) -> str:
    return tls.url.partition("?")[0]


def other_host(tls: SecuredRedis) -> str:
    return tls.url_of(host=OTHER_HOST)


def wrong_password(tls: SecuredRedis) -> str:
    return tls.url_of(password=WRONG)


def unknown_user(tls: SecuredRedis) -> str:
    return tls.url_of(user="nobody")


def without_tls(tls: SecuredRedis) -> str:
    return f"redis://{USER}:{WRONG}@127.0.0.1:{tls.tls_port}"


@pytest.mark.parametrize(
    "fault",
    [
        (unknown_authority, "CERTIFICATE_VERIFY_FAILED"),
        (system_authorities, "CERTIFICATE_VERIFY_FAILED"),
        (other_host, "not valid for '127.0.0.2'"),
        (wrong_password, "AuthenticationError: invalid username-password pair"),
        (unknown_user, "AuthenticationError: invalid username-password pair"),
        (without_tls, "ConnectionError"),
    ],
    ids=lambda fault: fault[0].__name__,
)
async def test_an_untrusted_redis_is_not_used(
    servers: ServerFactory,
    tables: Tables,
    tls: SecuredRedis,
    capfd: pytest.CaptureFixture[str],
    fault: tuple[Callable[[SecuredRedis], str], str],
) -> None:
    """Responses come from the tables. One log line per use says why, before the first call."""
    url_of, error = fault
    with capture_logs() as lines:
        async with servers.running(redis_url=url_of(tls)) as server:
            await until_logged(lines)
            assert (up("calls"), up("news")) == (0, 0)
            request_id = str(uuid.uuid4())
            await server.stub.SubmitImage(submit_request(request_id))
            call = server.stub.WatchRequest(pb.WatchRequestRequest(request_ids=[request_id]))
            assert await states(call, 1) == {request_id: (pb.STATE_PENDING, 1)}
            await complete(tables, request_id)
            assert await states(call, 1) == {request_id: (pb.STATE_COMPLETED, 2)}
            assert await ended_ok(call)
            answer = await server.stub.GetStatus(pb.GetStatusRequest(request_id=request_id))
            assert answer.request.state == pb.STATE_COMPLETED
    warnings = [line for line in lines if line["log_level"] == "warning"]
    assert sorted(line["event"] for line in warnings) == UNUSED
    for line in warnings:
        assert error in line["error"]
        assert "\n" not in line["error"]
    output = f"{lines} {await asyncio.to_thread(capfd.readouterr)}"
    assert PASSWORD not in output
    assert WRONG not in output
    assert await tls.connections() == []
    assert await tls.plain.documents() == {}


async def until_logged(lines: list[MutableMapping[str, Any]]) -> None:
    async with asyncio.timeout(PUSHED_S):
        while not set(UNUSED) <= {line["event"] for line in lines}:  # noqa: ASYNC110  background tasks write the log
            await asyncio.sleep(0.02)


async def test_a_missing_permission_is_logged(
    servers: ServerFactory, tables: Tables, tls: SecuredRedis
) -> None:
    """A user without write permission still subscribes and reads. `redis_up` of calls is 0."""
    async with tls.plain.client as client:
        await client.acl_setuser(USER, enabled=True, commands=["-set"], keys=["imageservice:*"])
    with capture_logs() as lines:
        async with servers.running(redis_url=tls.url) as server:
            request_id = str(uuid.uuid4())
            await server.stub.SubmitImage(submit_request(request_id))
            await complete(tables, request_id)
            answer = await server.stub.GetStatus(pb.GetStatusRequest(request_id=request_id))
            assert answer.request.state == pb.STATE_COMPLETED
            async with asyncio.timeout(PUSHED_S):
                while up("calls") or not up("news"):  # noqa: ASYNC110  a server does not wait for its writes to Redis
                    await asyncio.sleep(0.02)
    (line,) = [line for line in lines if line["log_level"] == "warning"]
    assert line["event"] == "redis command rejected"
    assert line["operation"] == "write"
    assert "NoPermissionError" in line["error"]
