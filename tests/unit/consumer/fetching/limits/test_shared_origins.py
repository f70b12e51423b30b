"""Customers of one host: the requests of one that hang or are refused do not keep back those of another."""

import asyncio

import pytest

from consumer.fetching.limits import host_limiter
from consumer.fetching.limits.host_condition import Answer
from consumer.fetching.limits.host_customer import HostBusy
from consumer.fetching.limits.host_limiter import HostLimiter
from core.errors import RateLimited, Timeout
from harness.virtual_time import run_virtually

HOST = "a.example"


async def time_out(limiter: HostLimiter, customer: str, count: int = 8) -> None:
    """Let requests of the customer hang together, as long as a fetch may take."""
    slots = [await limiter.acquire(HOST, customer) for _ in range(count)]
    await asyncio.sleep(30)
    for slot in slots:
        limiter.release(slot, Answer.TIMED_OUT, Timeout())


async def busy(limiter: HostLimiter, customer: str) -> HostBusy:
    with pytest.raises(HostBusy) as raised:
        await limiter.acquire(HOST, customer)
    return raised.value


def test_a_host_that_hangs_for_one_customer_is_open_for_another() -> None:
    """Their answers close nothing for each other: the paths of the first may hang for ever."""

    async def run() -> None:
        limiter = HostLimiter(8, max_wait=2)
        await time_out(limiter, "a")
        for _ in range(3):
            slots = [await limiter.acquire(HOST, "b") for _ in range(8)]
            assert (await busy(limiter, "a")).reason == "host_hung"
            for slot in slots:
                limiter.release(slot)
        assert limiter.hung == 1

    run_virtually(run())


def test_a_host_that_hangs_for_several_customers_is_open_for_another() -> None:
    """Anybody may submit URLs of a shared host that hang, so their number proves nothing."""

    async def run() -> None:
        limiter = HostLimiter(8, max_wait=2)
        for customer in ("a", "b", "c"):
            await time_out(limiter, customer)
        assert None not in [limiter.take(HOST, "d") for _ in range(8)]
        for customer in ("a", "b", "c"):
            assert (await busy(limiter, customer)).reason == "host_hung"

    run_virtually(run())


def test_a_host_that_is_closed_for_one_customer_is_open_for_another() -> None:
    """A path that always answers 429 with a long Retry-After closes its host for its own customer."""

    async def run() -> None:
        limiter = HostLimiter(8, max_wait=2)
        slot = await limiter.acquire(HOST, "a")
        limiter.release(slot, Answer.REFUSED, RateLimited(retry_after=900))
        assert (await busy(limiter, "a")).retry_after > 600
        assert None not in [limiter.take(HOST, "b") for _ in range(8)]

    run_virtually(run())


def test_deferred_requests_come_back_regardless_of_another_customer() -> None:
    """Two thousand requests of one customer have taken the next minutes. The other's first one comes back at once."""

    async def run() -> None:
        limiter = HostLimiter(8, max_wait=2)
        await time_out(limiter, "a")
        assert max([(await busy(limiter, "a")).wait for _ in range(2_000)]) > 150
        for _ in range(8):
            await limiter.acquire(HOST, "b")
        assert (await busy(limiter, "b")).wait < 10

    run_virtually(run())


def test_the_failure_of_a_host_is_that_of_the_own_requests() -> None:
    """A request of another customer may be served, so it must not fail before one was sent."""

    async def run() -> None:
        limiter = HostLimiter(8, max_wait=2)
        await time_out(limiter, "a")
        slots = [await limiter.acquire(HOST, "b") for _ in range(8)]
        assert (await busy(limiter, "b")).failure is None
        own = await busy(limiter, "a")
        assert isinstance(own.failure, Timeout)
        assert own.failing_s > 0
        for slot in slots:
            limiter.release(slot)

    run_virtually(run())


def test_customers_of_all_hosts_that_are_remembered_are_bounded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The one that has been idle longest is forgotten, with its host if it was the last."""
    monkeypatch.setattr(host_limiter, "MAX_IDLE_CUSTOMERS", 3)

    async def run() -> None:
        limiter = HostLimiter(8, max_wait=2)
        for host in ("a.example", "b.example"):
            for customer in "abcd":
                slot = await limiter.acquire(host, customer)
                limiter.release(slot, Answer.REFUSED, RateLimited(retry_after=60))
        assert limiter.idle_customers == 3
        assert limiter.rate_limited == 1
        assert limiter.take("a.example", "d") is not None
        assert limiter.take("b.example", "b") is None

    run_virtually(run())
