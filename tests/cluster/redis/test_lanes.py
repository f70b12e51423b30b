"""Servers share the rate of a customer's interactive requests."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from aiobotocore.session import get_session

from harness.aws import RecordingAws
from harness.grpc_client import submit_request
from harness.redis_server import RedisServer
from harness.running_server import RunningServer, ServerFactory
from server.lanes import rate

BURST = 40
HOURLY = 1 / 3_600
"""So slow that no permit is refilled during a test."""


@asynccontextmanager
async def two_servers(
    servers: ServerFactory, redis: RedisServer
) -> AsyncIterator[list[RunningServer]]:
    async with AsyncExitStack() as running:
        yield [
            await running.enter_async_context(
                servers.running(
                    bulk_sender=servers.bulk_sender(),
                    redis_url=redis.url,
                    interactive_rate=HOURLY,
                    interactive_burst=BURST,
                )
            )
            for _ in range(2)
        ]


class Lanes:
    """Counts the messages of the two lanes that were sent since the start of the test."""

    def __init__(self, aws: RecordingAws, servers: ServerFactory) -> None:
        self._aws = aws
        self._urls = servers.stack.queue_url, servers.stack.bulk_queue_url
        self._before = (0, 0)

    async def start(self) -> None:
        self._before = await self._depths()

    async def sent(self) -> tuple[int, int]:
        (interactive, bulk), before = await self._depths(), self._before
        return interactive - before[0], bulk - before[1]

    async def _depths(self) -> tuple[int, int]:
        async with get_session().create_client("sqs", **self._aws.sdk()) as sqs:
            answers = [
                await sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])
                for url in self._urls
            ]
        interactive, bulk = (
            int(each["Attributes"]["ApproximateNumberOfMessages"]) for each in answers
        )
        return interactive, bulk


async def submit(servers: list[RunningServer], customer: str, count: int) -> None:
    """Submit one request after another, to each server in turn."""
    for number in range(count):
        stub = servers[number % len(servers)].stub
        await stub.SubmitImage(submit_request(customer=customer))


@pytest.mark.usefixtures("_long_timeouts")
async def test_servers_share_one_rate(
    embedded_aws: RecordingAws, servers: ServerFactory, redis: RedisServer
) -> None:
    """Together they send the burst to the interactive lane, and at most a quarter of it more for each server."""
    lanes = Lanes(embedded_aws, servers)
    await lanes.start()
    async with two_servers(servers, redis) as both:
        await submit(both, "shared", 200)
    interactive, bulk = await lanes.sent()
    assert interactive + bulk == 200
    assert BURST <= interactive <= BURST + 2 * BURST // rate.LEASES_PER_BURST
    (key,) = [key for key in await redis.documents() if ":rate:" in key]
    assert "shared" not in key


async def test_without_redis_each_server_has_the_rate(
    embedded_aws: RecordingAws, servers: ServerFactory, redis: RedisServer
) -> None:
    """Redis is killed: submits go on, and each server limits on its own."""
    lanes = Lanes(embedded_aws, servers)
    async with two_servers(servers, redis) as both:
        await submit(both, "before", 2)
        await redis.kill()
        await lanes.start()
        await submit(both, "after", 4 * BURST)
    interactive, bulk = await lanes.sent()
    assert interactive + bulk == 4 * BURST
    # A server whose connection breaks in the middle may already have used its advance.
    assert 2 * BURST <= interactive <= 2 * (BURST + BURST // rate.LEASES_PER_BURST)


async def test_a_hanging_redis_delays_no_submit(servers: ServerFactory, redis: RedisServer) -> None:
    """A submit does not wait for the lease: it would wait for ever here."""
    async with two_servers(servers, redis) as both:
        await submit(both, "hung", 2)
        redis.hang()
        async with asyncio.timeout(60):
            await submit(both, "hung", 2 * BURST)
        redis.resume()
