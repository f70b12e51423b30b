"""The slots and the rate of a host are those of all consumers together."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from core.redis import shared_limits
from core.redis.connection import RedisConnection
from core.redis.shared_limits import Demand, Share, SharedLimits
from harness.redis_server import RedisServer

pytestmark = pytest.mark.usefixtures("_long_timeouts")

HOST = "a.example"


def wants(slots: int = 8, *, rate: float = 0, closed: float = 0) -> Demand:
    return Demand(HOST, slots, rate, closed)


@pytest_asyncio.fixture
async def processes(redis: RedisServer) -> AsyncIterator[list[SharedLimits]]:
    """Four processes that share eight slots of each host."""
    connections = [RedisConnection(redis.url) for _ in range(4)]
    yield [SharedLimits(each, "requests", 8) for each in connections]
    for each in connections:
        await each.close()


async def slots(process: SharedLimits, demand: Demand) -> int:
    share = await process.share(demand)
    assert share is not None
    return share.slots


async def test_a_process_alone_gets_all_slots(processes: list[SharedLimits]) -> None:
    """Also of many hosts in one call."""
    demands = [Demand(f"{number}.example", 8, 0, 0) for number in range(250)]
    shares = await asyncio.gather(*map(processes[0].share, demands))
    assert {share.slots for share in shares if share is not None} == {8}


async def test_slots_move_to_those_that_miss_them(processes: list[SharedLimits]) -> None:
    """At no time do the processes hold more than the limit together; at the end each has its part."""
    held = [await slots(process, wants()) for process in processes]
    assert held == [8, 0, 0, 0]
    for _ in range(3):
        for number, process in enumerate(processes):
            held[number] = await slots(process, wants())
            assert sum(held) <= 8
    assert held == [2, 2, 2, 2]
    for process in processes[1:]:
        await process.share(wants(0))
    assert await slots(processes[0], wants()) == 8


async def test_a_process_that_wants_little_leaves_the_rest(processes: list[SharedLimits]) -> None:
    """A fair share is not reserved for it."""
    assert await slots(processes[0], wants(1)) == 1
    assert await slots(processes[1], wants()) == 7


async def test_the_share_of_a_dead_process_expires(
    processes: list[SharedLimits], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It can give nothing back."""
    monkeypatch.setattr(shared_limits, "SHARE_S", 0.2)
    await slots(processes[0], wants())
    async with asyncio.timeout(60):
        while await slots(processes[1], wants()) < 8:  # noqa: ASYNC110  Redis has to expire it
            await asyncio.sleep(0.05)


async def test_processes_learn_of_each_others_rates_and_closures(
    processes: list[SharedLimits],
) -> None:
    """The longest closure counts."""
    await processes[0].share(wants(rate=4, closed=60))
    await processes[1].share(wants(rate=1.5))
    share = await processes[2].share(wants())
    assert share is not None
    assert (share.limited_peers, share.peers_rate) == (2, 5.5)
    assert 50 < share.closed <= 60
    other = await processes[2].share(Demand("b.example", 8, 0, 0))
    assert other == Share(8, 0, 0, 0)


async def test_without_redis_each_process_has_its_own_limits(
    redis: RedisServer, processes: list[SharedLimits]
) -> None:
    """No fetch waits for Redis or fails because of it."""
    await redis.kill()
    assert await processes[0].share(wants()) is None
    assert await processes[0].share(wants()) is None


async def test_a_foreign_entry_is_dropped(
    redis: RedisServer, processes: list[SharedLimits]
) -> None:
    """Other clients of Redis may not stop the fetches."""
    async with redis.client as client:
        await client.hset(f"imageservice:requests:host:{HOST}", "other", "nonsense")
    assert await slots(processes[0], wants()) == 8
