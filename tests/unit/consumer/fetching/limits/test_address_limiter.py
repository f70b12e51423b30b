"""Limits on the requests that wait for the first answer of an address."""

import asyncio
from ipaddress import ip_address

import pytest

from consumer.fetching.limits import address_limiter
from consumer.fetching.limits.address_limiter import AddressBusy, AddressLimiter, Visit
from core.errors import Timeout
from harness.virtual_time import run_virtually

LIMIT = 8
ADDRESS = ip_address("192.0.2.1")


def fill(limiter: AddressLimiter, most: int = 1_000, customer: str = "a") -> list[Visit]:
    """Enter until the limiter refuses, or `most` times."""
    visits = []
    for _ in range(most):
        try:
            visits.append(limiter.enter(ADDRESS, customer))
        except AddressBusy:
            break
    return visits


def busy(limiter: AddressLimiter, customer: str = "a") -> AddressBusy:
    with pytest.raises(AddressBusy) as raised:
        limiter.enter(ADDRESS, customer)
    return raised.value


def test_a_new_address_gets_twice_the_limit_until_its_first_answer() -> None:
    """Then any number: it serves many hosts."""

    async def run() -> None:
        limiter = AddressLimiter(LIMIT)
        visits = fill(limiter)
        assert len(visits) == 2 * LIMIT
        refused = busy(limiter)
        assert (refused.busy.reason, refused.busy.failure) == ("address_new", None)
        limiter.answer(visits[0])
        assert refused.answered.is_set()
        assert refused.patience == 1
        assert len(fill(limiter, 500)) == 500

    run_virtually(run())


def test_an_address_that_is_silent_for_five_seconds_hangs() -> None:
    """Also while its requests still wait. It gets no further one before fewer than the limit do."""

    async def run() -> None:
        limiter = AddressLimiter(LIMIT)
        visits = fill(limiter)
        await asyncio.sleep(5)
        refused = busy(limiter)
        assert refused.patience == 0
        assert refused.busy.reason == "address_hung"
        assert refused.busy.failure is None
        for visit in visits[: LIMIT + 1]:
            limiter.leave(visit, timed_out=True)
        assert limiter.hanging == 1
        limiter.enter(ADDRESS, "a")
        assert isinstance(busy(limiter).busy.failure, Timeout)
        await asyncio.sleep(1_000)
        assert busy(limiter).busy.failing_s == 1_005

    run_virtually(run())


def test_a_customer_gets_its_share_of_the_visits_to_an_address_that_hangs() -> None:
    """Also if another one fills the limit. Its answer ends the limit, which the other's time-out set."""

    async def run() -> None:
        limiter = AddressLimiter(LIMIT)
        visits = fill(limiter)
        limiter.leave(visits[0], timed_out=True)
        await asyncio.sleep(6)
        own = fill(limiter, customer="b")
        assert len(own) == LIMIT // 2
        busy(limiter, "b")
        busy(limiter, "a")
        limiter.answer(own[0])
        assert limiter.hanging == 0
        limiter.enter(ADDRESS, "b")

    run_virtually(run())


def test_the_visits_of_all_customers_to_an_address_that_hangs_are_bounded() -> None:
    """Customers are many. The address is a stranger's."""

    async def run() -> None:
        limiter = AddressLimiter(LIMIT)
        limiter.leave(limiter.enter(ADDRESS, "a"), timed_out=True)
        visits = [visit for number in range(100) for visit in fill(limiter, customer=f"{number}")]
        assert len(visits) == 3 * LIMIT

    run_virtually(run())


def test_a_request_fails_only_for_time_outs_of_its_own_customer() -> None:
    """Another customer's request was never sent, so nothing is known about its host."""

    async def run() -> None:
        limiter = AddressLimiter(1)
        limiter.leave(limiter.enter(ADDRESS, "a"), timed_out=True)
        held = [limiter.enter(ADDRESS, customer) for customer in "bcd"]
        await asyncio.sleep(100)
        assert isinstance(busy(limiter, "a").busy.failure, Timeout)
        assert busy(limiter, "b").busy.failure is None
        limiter.answer(held[1])
        await asyncio.sleep(1)
        limiter.leave(limiter.enter(ADDRESS, "e"), timed_out=True)
        limiter.enter(ADDRESS, "a")
        assert busy(limiter, "a").busy.failure is None

    run_virtually(run())


def test_deferred_requests_do_not_wait_for_those_of_another_customer() -> None:
    async def run() -> None:
        limiter = AddressLimiter(1)
        limiter.leave(limiter.enter(ADDRESS, "a"), timed_out=True)
        for customer in "abd":
            limiter.enter(ADDRESS, customer)
        assert max(busy(limiter, "a").busy.wait for _ in range(1_000)) > 100
        assert busy(limiter, "c").busy.wait < 5

    run_virtually(run())


def test_an_answer_ends_the_limit() -> None:
    """A request that was sent before it and times out later changes nothing."""

    async def run() -> None:
        limiter = AddressLimiter(LIMIT)
        slow, *others = fill(limiter)
        await asyncio.sleep(6)
        limiter.leave(others[0], timed_out=True)
        limiter.answer(others[1])
        limiter.leave(slow, timed_out=True)
        assert limiter.hanging == 0
        assert len(fill(limiter, 100)) == 100

    run_virtually(run())


def test_one_slow_host_does_not_limit_an_address_that_answers_others() -> None:
    """A content delivery network waits for one of its thousands of origins."""

    async def run() -> None:
        limiter = AddressLimiter(LIMIT)
        limiter.answer(limiter.enter(ADDRESS))
        slow = limiter.enter(ADDRESS)
        for _ in range(10):
            await asyncio.sleep(3)
            limiter.answer(limiter.enter(ADDRESS))
        limiter.leave(slow, timed_out=True)
        assert len(fill(limiter, 100)) == 100

    run_virtually(run())


@pytest.mark.parametrize(
    ("one", "other", "shared"),
    [
        ("2001:db8:0:1::1", "2001:db8:0:1:ffff::9", True),
        ("2001:db8:0:1::1", "2001:db8:0:2::1", False),
        ("192.0.2.1", "192.0.2.2", False),
        ("192.0.2.1", "192.0.2.1", True),
    ],
)
async def test_what_counts_as_one_address(one: str, other: str, shared: bool) -> None:
    """An IPv4 address, and a /64 of IPv6."""
    limiter = AddressLimiter(1)
    for _ in range(2):
        limiter.enter(ip_address(one))
    if shared:
        with pytest.raises(AddressBusy):
            limiter.enter(ip_address(other))
    else:
        limiter.enter(ip_address(other))


async def test_an_address_of_which_nothing_is_known_is_forgotten() -> None:
    """A million addresses that refuse connections cost nothing."""
    limiter = AddressLimiter(1)
    limiter.leave(limiter.enter(ADDRESS), timed_out=False)
    assert len(limiter) == 0


async def test_the_number_of_addresses_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one without a request that was used first makes room."""
    monkeypatch.setattr(address_limiter, "MAX_IDLE_ADDRESSES", 3)
    limiter = AddressLimiter(1)
    held = limiter.enter(ip_address("198.51.100.1"))
    for number in range(20):
        limiter.answer(limiter.enter(ip_address(number)))
    assert len(limiter) <= 4
    limiter.leave(held, timed_out=True)
    assert limiter.hanging == 1
