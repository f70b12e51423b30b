"""The rate of a customer over several servers: leases of a shared bucket, and no wait for it."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import cast

import pytest

from core.redis.connection import RedisUnavailable
from core.redis.shared_rate import SharedRate
from server.lanes.rate import InteractiveRate, Lease

BURST = 20
CHUNK = 5
"""A lease: a quarter of the burst."""


@dataclass(slots=True)
class Connection:
    available: bool = True


@dataclass(slots=True)
class Bucket:
    """The shared bucket, which does not fill. Its answers wait for `answers`."""

    permits: int = BURST
    connection: Connection = field(default_factory=Connection)
    answers: asyncio.Event = field(default_factory=asyncio.Event)
    calls: list[tuple[str, int]] = field(default_factory=list)
    failing: bool = False

    async def take(self, key: str, permits: int, rate: float, burst: int) -> int:
        del rate, burst
        self.calls.append((key, permits))
        await self.answers.wait()
        if self.failing:
            raise RedisUnavailable("rejected")
        granted = min(permits, self.permits)
        self.permits -= granted
        return granted


@dataclass(slots=True)
class Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


def rate_on(bucket: Bucket, clock: Clock | None = None, **limits: int) -> InteractiveRate:
    shared = cast("SharedRate", bucket)
    return InteractiveRate(1, BURST, shared=shared, clock=clock or Clock(), **limits)


def taken(rate: InteractiveRate, attempts: int, customer: str = "acme") -> int:
    return sum(rate.take(customer) for _ in range(attempts))


async def taken_with_answers(rates: Iterable[InteractiveRate], attempts: int) -> int:
    """Take in turns, with time for the answers of the bucket after each attempt."""
    total = 0
    for _ in range(attempts):
        for rate in rates:
            total += rate.take("acme")
            for _ in range(5):
                await asyncio.sleep(0)
    return total


async def test_nothing_waits_for_the_shared_bucket() -> None:
    """Before its first answer a server uses a quarter of the burst in advance, and makes one call."""
    bucket = Bucket()
    rate = rate_on(bucket)
    assert taken(rate, 100) == CHUNK
    await asyncio.sleep(0)
    assert [wanted for _, wanted in bucket.calls] == [2 * CHUNK]
    await rate.close()


@pytest.mark.parametrize("servers", [1, 2, 8])
async def test_servers_share_the_burst(servers: int) -> None:
    """Together they exceed it by at most a quarter for each server."""
    bucket = Bucket()
    bucket.answers.set()
    rates = [rate_on(bucket) for _ in range(servers)]
    total = await taken_with_answers(rates, 100)
    assert BURST <= total <= BURST + servers * CHUNK


async def test_an_empty_bucket_is_asked_seldom() -> None:
    """While it is empty, nothing is used in advance, and calls have a distance in time."""
    bucket, clock = Bucket(permits=0), Clock()
    bucket.answers.set()
    rate = rate_on(bucket, clock)
    assert await taken_with_answers([rate], 100) == 1
    assert len(bucket.calls) == 1
    for second in range(2, 30):
        bucket.permits = 1
        clock.now += 1
        await taken_with_answers([rate], 100)
        assert len(bucket.calls) == second


async def test_the_rate_is_not_exceeded_for_long() -> None:
    """What is used in advance is paid back, so in the end a customer gets the rate, here one permit per turn."""
    bucket, clock = Bucket(permits=0), Clock()
    bucket.answers.set()
    rate = rate_on(bucket, clock)
    total = 0
    for _ in range(50):
        bucket.permits += 1
        clock.now += 1
        total += await taken_with_answers([rate], 10)
    assert total == pytest.approx(50, abs=CHUNK)


async def test_after_a_pause_nothing_reminds_of_the_empty_bucket() -> None:
    """The first messages do not go to bulk because the bucket was empty long ago."""
    bucket, clock = Bucket(permits=0), Clock()
    bucket.answers.set()
    rate = rate_on(bucket, clock)
    assert await taken_with_answers([rate], 100) == 1
    bucket.permits = BURST
    clock.now += 60
    assert await taken_with_answers([rate], 10) == 10


async def test_without_an_answer_the_process_limits_on_its_own() -> None:
    """For a while after a failed call, and for as long as Redis is known to be down."""
    bucket, clock = Bucket(failing=True), Clock()
    bucket.answers.set()
    rate = rate_on(bucket, clock)
    assert await taken_with_answers([rate], 100) == 1 + BURST
    clock.now += 10
    bucket.connection.available = False
    assert taken(rate, 100) == 10
    assert len(bucket.calls) == 1


async def test_customers_and_calls_are_bounded() -> None:
    """Beyond the bound of calls, customers still have their advance; ids are not in the keys."""
    bucket = Bucket()
    rate = rate_on(bucket, max_customers=200)
    assert [taken(rate, 6, f"customer-{number}") for number in range(300)] == [CHUNK] * 300
    await asyncio.sleep(0)
    assert len(bucket.calls) == 64
    assert not [key for key, _ in bucket.calls if "customer" in key]
    assert len(rate._leases) == 200
    await rate.close()


def test_a_lease_pays_back_what_was_used_in_advance() -> None:
    """The next lease is larger by it."""
    lease = Lease(chunk=5)
    assert [lease.take(0) for _ in range(6)] == [True] * 5 + [False]
    assert lease.wanted == 10
    lease.grant(10, 10, retry_at=9.0)
    assert (lease.permits, lease.due(0)) == (5, False)
    assert [lease.take(0) for _ in range(5)] == [True] * 5
    assert lease.due(0)
    lease.grant(2, 5, retry_at=9.0)
    assert [lease.take(1) for _ in range(3)] == [True, True, False]
    assert (lease.due(8.9), lease.due(9.0)) == (False, True)
    assert lease.take(9)
