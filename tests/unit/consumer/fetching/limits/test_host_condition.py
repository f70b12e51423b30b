"""The condition of a host: refusals, time-outs, and the probes of a host that hangs."""

import asyncio
import itertools

import pytest

from consumer.fetching.limits.host_condition import Answer, HostCondition, answer_of
from consumer.fetching.limits.host_customer import HostBusy
from consumer.fetching.limits.host_limiter import HostLimiter
from core.errors import (
    BadResponse,
    BlockedAddress,
    ConnectFailed,
    DnsFailed,
    ImageFailure,
    NotFound,
    OriginError,
    RateLimited,
    Timeout,
    TooLarge,
    TooSlow,
)
from harness.virtual_time import run_virtually

HOST = "a.example"


@pytest.mark.parametrize(
    ("failure", "answer"),
    [
        (RateLimited(), Answer.REFUSED),
        (RateLimited(retry_after=1), Answer.REFUSED),
        (OriginError(retry_after=1), Answer.REFUSED),
        (OriginError(), Answer.FAILED),
        (Timeout(), Answer.TIMED_OUT),
        (TooSlow(), Answer.TIMED_OUT),
        (ConnectFailed(), Answer.FAILED),
        (DnsFailed(), Answer.FAILED),
        (BlockedAddress(), Answer.FAILED),
        (NotFound(), Answer.ACCEPTED),
        (TooLarge(), Answer.ACCEPTED),
        (BadResponse(), Answer.ACCEPTED),
    ],
)
def test_what_a_failure_says_about_the_host(failure: ImageFailure, answer: Answer) -> None:
    """A 404 is an answer; a 500 is neither an answer nor a refusal."""
    assert answer_of(failure) is answer


def test_the_age_of_a_failure_ends_with_an_accepted_request() -> None:
    """A host that serves a backlog slowly is not failing."""
    now = 0.0
    condition = HostCondition(lambda: now)
    condition.record(Answer.REFUSED, sent_at=-1, failure=RateLimited("detail"), probe=False)
    now = 100
    condition.record(Answer.REFUSED, sent_at=99, failure=OriginError(retry_after=1), probe=False)
    assert isinstance(condition.failure, OriginError)
    assert condition.failing_s == 100
    condition.record(Answer.ACCEPTED, sent_at=99, probe=False)
    assert condition.failing_s == 0


async def time_out(limiter: HostLimiter) -> None:
    slot = await limiter.acquire(HOST)
    await asyncio.sleep(30)
    limiter.release(slot, Answer.TIMED_OUT, Timeout())


async def hung() -> HostLimiter:
    limiter = HostLimiter(8, max_wait=2)
    await asyncio.gather(*(time_out(limiter) for _ in range(8)))
    return limiter


def test_a_hung_host_gets_one_probe_at_a_time_with_growing_intervals() -> None:
    """After the eight requests that found it hung, an hour costs a few more."""

    async def run() -> None:
        limiter = await hung()
        loop = asyncio.get_running_loop()
        probes: list[float] = []
        reasons: set[tuple[str, object]] = set()
        while loop.time() < 3_600:
            try:
                slot = await limiter.acquire(HOST)
            except HostBusy as busy:
                reasons.add((busy.reason, type(busy.failure)))
                await asyncio.sleep(1)
                continue
            probes.append(loop.time())
            with pytest.raises(HostBusy):
                await limiter.acquire(HOST)
            await asyncio.sleep(30)
            limiter.release(slot, Answer.TIMED_OUT, Timeout())
        assert 10 < len(probes) < 40
        assert reasons == {("host_hung", Timeout)}
        gaps = [after - before for before, after in itertools.pairwise(probes)]
        assert gaps[0] < 45
        assert max(gaps) > 150

    run_virtually(run())


@pytest.mark.parametrize("answer", [Answer.ACCEPTED, Answer.REFUSED, Answer.FAILED])
def test_a_probe_that_is_answered_opens_the_host(answer: Answer) -> None:
    """All slots may be used again, unless the host refused."""

    async def run() -> None:
        limiter = await hung()
        await asyncio.sleep(10)
        slot = await limiter.acquire(HOST)
        limiter.release(slot, answer, RateLimited() if answer is Answer.REFUSED else None)
        await asyncio.sleep(2)
        slots = [await limiter.acquire(HOST) for _ in range(4)]
        assert len(slots) == 4

    run_virtually(run())


def test_a_probe_that_was_not_sent_leaves_the_host_hung() -> None:
    """It was cancelled, for example. Another request is the next probe."""

    async def run() -> None:
        limiter = await hung()
        await asyncio.sleep(10)
        limiter.release(await limiter.acquire(HOST), Answer.UNSENT)
        with pytest.raises(HostBusy):
            await limiter.acquire(HOST)
        await asyncio.sleep(20)
        limiter.release(await limiter.acquire(HOST))
        await limiter.acquire(HOST)
        await limiter.acquire(HOST)

    run_virtually(run())


def test_two_timeouts_and_a_success_restrict_nothing() -> None:
    """Only time-outs in a row show that a host hangs."""

    async def run() -> None:
        limiter = HostLimiter(8, max_wait=2)
        for _ in range(3):
            await time_out(limiter)
            await time_out(limiter)
            limiter.release(await limiter.acquire(HOST))
        slots = [await limiter.acquire(HOST) for _ in range(8)]
        assert len(slots) == 8

    run_virtually(run())


def test_a_closed_host_is_remembered_while_it_is_idle() -> None:
    """Otherwise its next request would not know that it is closed."""

    async def run() -> None:
        limiter = HostLimiter(8, max_wait=2)
        slot = await limiter.acquire(HOST)
        limiter.release(slot, Answer.REFUSED, RateLimited(retry_after=60))
        assert (len(limiter), limiter.idle_customers) == (0, 1)
        await asyncio.sleep(30)
        with pytest.raises(HostBusy) as busy:
            await limiter.acquire(HOST)
        assert 30 <= busy.value.retry_after <= 34
        assert busy.value.failing_s == 30
        await asyncio.sleep(2_000)
        limiter.release(await limiter.acquire("b.example"), Answer.REFUSED, RateLimited())
        assert limiter.idle_customers == 1

    run_virtually(run())
