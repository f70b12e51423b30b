"""The host limiter with limits that all consumers share."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from consumer.fetching.limits.host_condition import Answer
from consumer.fetching.limits.host_customer import HostBusy
from consumer.fetching.limits.host_limiter import HostLimiter
from consumer.fetching.limits.host_rate import HostRate
from core.errors import RateLimited
from core.redis.shared_limits import Demand, Share
from harness.virtual_time import run_virtually

HOST = "a.example"


class ScriptedShares:
    """Answers every demand with `answer`, after a time, and records it."""

    def __init__(self, answer: Share | None) -> None:
        self.answer = answer
        self.demands: list[Demand] = []

    async def share(self, demand: Demand) -> Share | None:
        self.demands.append(demand)
        await asyncio.sleep(0.001)
        if self.answer is None or demand.host == HOST:
            return self.answer
        return replace(self.answer, slots=0)

    def of_rates(self) -> list[Demand]:
        return [demand for demand in self.demands if demand.host != HOST]


def limiter_with(shares: Any) -> HostLimiter:
    return HostLimiter(8, max_wait=0.5, shared=shares)


async def held(limiter: HostLimiter) -> int:
    """Return how many slots could be taken together. They are kept."""
    results = await asyncio.gather(
        *(limiter.acquire(HOST) for _ in range(20)), return_exceptions=True
    )
    return sum(not isinstance(each, HostBusy) for each in results)


@pytest.mark.parametrize(
    ("answer", "expected"), [(Share(3, 0, 0, 0), 3), (Share(0, 0, 0, 0), 0), (None, 8)]
)
def test_a_process_uses_its_share(answer: Share | None, expected: int) -> None:
    """Without Redis, the limit is its own. Requests that begin together report one demand."""

    async def run() -> None:
        shares = ScriptedShares(answer)
        limiter = limiter_with(shares)
        assert await held(limiter) == expected
        slots, rate = shares.demands
        assert slots == Demand(HOST, 8, 0, 0)
        assert (rate.slots, rate.rate) == (0, 0)

    run_virtually(run())


def test_a_share_is_renewed_in_the_background_and_given_back() -> None:
    """No fetch waits for a renewal. A smaller share applies as slots are returned, a larger one at once."""

    async def run() -> None:
        shares = ScriptedShares(Share(4, 0, 0, 0))
        limiter: Any = limiter_with(shares)
        renewing = asyncio.create_task(limiter.renew_forever(shares))
        slots = [await limiter.acquire(HOST) for _ in range(4)]
        assert len(shares.demands) == 2
        shares.answer = Share(2, 0, 0, 0)
        await asyncio.sleep(3)
        for slot in slots[:2]:
            limiter.release(slot)
            assert limiter.take(HOST) is None
        limiter.release(slots[2])
        taken = limiter.take(HOST)
        assert taken is not None
        limiter.release(taken)
        waiting = [asyncio.create_task(limiter.acquire(HOST)) for _ in range(2)]
        shares.answer = Share(8, 0, 0, 0)
        await asyncio.sleep(2.1)
        for task in waiting:
            if not isinstance(task.exception(), HostBusy):
                limiter.release(task.result())
        limiter.release(slots[3])
        await asyncio.sleep(2.1)
        assert Demand(HOST, 0, 0, 0) in shares.demands[-2:]
        count = len(shares.demands)
        await asyncio.sleep(100)
        assert len(shares.demands) == count
        renewing.cancel()

    run_virtually(run())


def test_a_share_that_was_used_for_a_moment_is_given_back() -> None:
    """Also if its requests end before the first renewal. Otherwise no other process gets a slot until it expires."""

    async def run() -> None:
        shares = ScriptedShares(Share(8, 0, 0, 0))
        limiter: Any = limiter_with(shares)
        renewing = asyncio.create_task(limiter.renew_forever(shares))
        limiter.release(await limiter.acquire(HOST))
        await asyncio.sleep(0.3)
        assert [demand.slots for demand in shares.demands if demand.host == HOST] == [8, 0]
        renewing.cancel()

    run_virtually(run())


def test_a_host_without_a_slot_asks_for_one_while_its_requests_wait() -> None:
    """A request waits for a shorter time than that to the next renewal. Other processes may have returned slots."""

    async def run() -> None:
        shares = ScriptedShares(Share(0, 0, 0, 0))
        limiter: Any = limiter_with(shares)
        renewing = asyncio.create_task(limiter.renew_forever(shares))
        waiting = asyncio.create_task(limiter.acquire(HOST))
        await asyncio.sleep(0.1)
        assert not waiting.done()
        shares.answer = Share(1, 0, 0, 0)
        await asyncio.sleep(0.3)
        assert waiting.done()
        count = len(shares.demands)
        await asyncio.sleep(1)
        assert len(shares.demands) == count
        limiter.release(waiting.result())
        renewing.cancel()

    run_virtually(run())


def test_a_closure_that_another_process_met_closes_the_host() -> None:
    """Its Retry-After was for all of us."""

    async def run() -> None:
        limiter = limiter_with(ScriptedShares(Share(8, 60, 1, 5)))
        with pytest.raises(HostBusy) as busy:
            await limiter.acquire(HOST)
        assert busy.value.reason == "host_refused"
        assert 60 <= busy.value.retry_after <= 64

    run_virtually(run())


def test_a_refusal_is_reported_to_the_others() -> None:
    """With the rate and the time until the host opens."""

    async def run() -> None:
        shares = ScriptedShares(Share(8, 0, 0, 0))
        limiter: Any = limiter_with(shares)
        renewing = asyncio.create_task(limiter.renew_forever(shares))
        first, _ = [await limiter.acquire(HOST) for _ in range(2)]
        limiter.release(first, Answer.REFUSED, RateLimited(retry_after=60))
        await asyncio.sleep(2.1)
        assert shares.of_rates()[-1].rate > 0
        assert 57 < shares.of_rates()[-1].closed < 60
        renewing.cancel()

    run_virtually(run())


def test_customers_share_slots_but_not_refusals() -> None:
    """Each one's rate has a key of its own."""

    async def run() -> None:
        shares = ScriptedShares(Share(8, 0, 0, 0))
        limiter: Any = limiter_with(shares)
        slot = await limiter.acquire(HOST, "acme")
        limiter.release(slot, Answer.REFUSED, RateLimited(retry_after=60))
        await limiter.acquire(HOST, "globex")
        first, second = [demand.host for demand in shares.of_rates()]
        assert first != second
        assert "acme" not in first
        assert [demand.closed for demand in shares.demands] == [0, 0, 0, 0]

    run_virtually(run())


def test_a_process_that_begins_takes_an_equal_part_of_the_known_rate() -> None:
    """The others give it that, so the sum stays."""
    newcomer, other = HostRate(0), HostRate(0)
    newcomer.share(0, peers=2, peers_rate=6, closed=0)
    assert newcomer.limit == 2
    other.share(0, peers=1, peers_rate=3, closed=0)
    other.limit = 3
    other.share(1, peers=2, peers_rate=5, closed=0)
    assert other.limit == 2
    other.share(2, peers=1, peers_rate=3, closed=0)
    assert other.limit == 2
