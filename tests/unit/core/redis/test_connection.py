"""Which errors of Redis are an outage, and which only reject a command."""

from asyncio import sleep

import pytest
from redis.asyncio import Redis
from redis.exceptions import (
    AuthenticationError,
    ClusterCrossSlotError,
    ClusterDownError,
    MovedError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
)
from structlog.testing import capture_logs

from cli.local.embedded_aws import HOST, free_port
from core.redis.connection import REJECTION_WINDOW_S, RedisConnection, RedisUnavailable
from core.redis.metrics import REDIS_UP
from harness.virtual_time import run_virtually


def up() -> float:
    ((sample,),) = [
        [each for each in metric.samples if each.labels["use"] == "calls"]
        for metric in REDIS_UP.collect()
    ]
    return float(sample.value)


async def call(connection: RedisConnection, error: RedisError | None) -> None:
    async def command(_: Redis) -> None:
        if error is not None:
            raise error

    if error is None:
        await connection.call("write", command)
        return
    with pytest.raises(RedisUnavailable):
        await connection.call("write", command)


@pytest.mark.parametrize(
    "error",
    [
        OutOfMemoryError("command not allowed when used memory > 'maxmemory'."),
        NoPermissionError("this user has no permissions to run the 'set' command"),
        ResponseError("MISCONF Redis is configured to save RDB snapshots"),
        ResponseError("NOREPLICAS Not enough good replicas to write."),
    ],
)
def test_a_rejection_does_not_open_the_breaker(error: RedisError) -> None:
    """It is logged once. `redis_up` is 0 until the window is over, even if other calls succeed in it."""

    async def reject() -> None:
        connection = RedisConnection(f"redis://{HOST}:{free_port()}")
        with capture_logs() as lines:
            for _ in range(100):
                await call(connection, error)
                await call(connection, None)
                assert connection.available
                assert up() == 0
            await sleep(REJECTION_WINDOW_S - 1)
            await call(connection, error)
            await sleep(REJECTION_WINDOW_S - 1)
            assert up() == 0
            await sleep(2)
            assert up() == 1
        assert [line["event"] for line in lines] == [
            "redis command rejected",
            "redis commands accepted again",
        ]
        await connection.close()

    run_virtually(reject())


@pytest.mark.parametrize(
    "error",
    [
        ReadOnlyError("You can't write against a read only replica."),
        MovedError("1 127.0.0.1:7000"),
        ClusterCrossSlotError("Keys in request don't hash to the same slot"),
        ClusterDownError("Hash slot not served"),
        AuthenticationError("Authentication required."),
    ],
)
def test_an_error_of_the_wrong_node_opens_the_breaker(error: RedisError) -> None:
    """At once. It is logged once, however many calls were in flight."""

    async def fail() -> None:
        connection = RedisConnection(f"redis://{HOST}:{free_port()}")
        with capture_logs() as lines:
            await call(connection, error)
            assert not connection.available
            assert up() == 0
            await call(connection, error)
        assert [line["event"] for line in lines] == ["redis unavailable"]
        await connection.close()

    run_virtually(fail())
