"""Which answers of Redis are an outage, and which are but a refusal."""

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
from core.redis.connection import REFUSING_S, RedisConnection, RedisUnavailable
from core.redis.metrics import REDIS_UP
from harness.virtual_time import run_virtually


def up() -> float:
    ((sample,),) = [
        [each for each in metric.samples if each.labels["use"] == "calls"]
        for metric in REDIS_UP.collect()
    ]
    return float(sample.value)


async def answered(link: RedisConnection, error: RedisError | None) -> None:
    async def command(_: Redis) -> None:
        if error is not None:
            raise error

    if error is None:
        await link.call("write", command)
        return
    with pytest.raises(RedisUnavailable):
        await link.call("write", command)


@pytest.mark.parametrize(
    "error",
    [
        OutOfMemoryError("command not allowed when used memory > 'maxmemory'."),
        NoPermissionError("this user has no permissions to run the 'set' command"),
        ResponseError("MISCONF Redis is configured to save RDB snapshots"),
        ResponseError("NOREPLICAS Not enough good replicas to write."),
    ],
)
def test_a_refusal_stops_nothing(error: RedisError) -> None:
    """It is told once and shown until there was none for a while, though others succeed in between."""

    async def refuse() -> None:
        link = RedisConnection(f"redis://{HOST}:{free_port()}")
        with capture_logs() as lines:
            for _ in range(100):
                await answered(link, error)
                await answered(link, None)
                assert link.passable
                assert up() == 0
            await sleep(REFUSING_S - 1)
            await answered(link, error)
            await sleep(REFUSING_S - 1)
            assert up() == 0
            await sleep(2)
            assert up() == 1
        assert [line["event"] for line in lines] == [
            "redis refuses",
            "redis refuses nothing any more",
        ]
        await link.close()

    run_virtually(refuse())


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
def test_whoever_sends_us_elsewhere_is_left(error: RedisError) -> None:
    """At once, and told once, however many calls were under way."""

    async def leave() -> None:
        link = RedisConnection(f"redis://{HOST}:{free_port()}")
        with capture_logs() as lines:
            await answered(link, error)
            assert not link.passable
            assert up() == 0
            await answered(link, error)
        assert [line["event"] for line in lines] == ["redis is not used"]
        await link.close()

    run_virtually(leave())
