"""Limits on the requests that wait for the first answer of an address."""

import asyncio
from ipaddress import ip_address

import pytest

from consumer.fetching import address_limiter
from consumer.fetching.address_limiter import AddressBusy, AddressLimiter, Visit
from core.errors import Timeout
from harness.virtual_time import run_virtually

LIMIT = 8
ADDRESS = ip_address("192.0.2.1")


def fill(limiter: AddressLimiter, most: int = 1_000) -> list[Visit]:
    """Enter until the limiter refuses, or `most` times."""
    visits = []
    for _ in range(most):
        try:
            visits.append(limiter.enter(ADDRESS))
        except AddressBusy:
            break
    return visits


def busy(limiter: AddressLimiter) -> AddressBusy:
    with pytest.raises(AddressBusy) as raised:
        limiter.enter(ADDRESS)
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
        assert isinstance(refused.busy.failure, Timeout)
        assert refused.busy.failing_s == 5
        for visit in visits[: LIMIT + 1]:
            limiter.leave(visit, timed_out=True)
        assert limiter.hanging == 1
        limiter.enter(ADDRESS)
        busy(limiter)
        await asyncio.sleep(1_000)
        assert busy(limiter).busy.failing_s == 1_005

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
