"""A backlog of a host that limits its rate is served almost as fast as the host permits."""

import asyncio
import contextlib
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from consumer.fetching.limits.host_condition import Answer
from consumer.fetching.limits.host_customer import HostBusy
from consumer.fetching.limits.host_limiter import HostLimiter
from core.errors import RateLimited
from harness.virtual_time import run_virtually

SLOTS = 64
LIMIT = 8
COUNT = 400
RATE = 5
RECEIVE_S = 1 / 300
"""Time to receive and requeue a message."""
NETWORK_S = 0.03


def now() -> float:
    return asyncio.get_running_loop().time()


class SlidingWindow:
    """Accepts RATE requests in any second."""

    def __init__(self) -> None:
        self._accepted: deque[float] = deque(maxlen=RATE)

    def accepts(self) -> bool:
        if len(self._accepted) == RATE and now() - self._accepted[0] < 1:
            return False
        self._accepted.append(now())
        return True


class FixedWindow:
    """Accepts RATE requests in each second of the clock."""

    def __init__(self) -> None:
        self._second, self._count = -1, 0

    def accepts(self) -> bool:
        if int(now()) != self._second:
            self._second, self._count = int(now()), 0
        self._count += 1
        return self._count <= RATE


class TokenBucket:
    """Accepts RATE requests per second, and ten at once."""

    def __init__(self) -> None:
        self._tokens, self._at = 10.0, 0.0

    def accepts(self) -> bool:
        self._tokens = min(10.0, self._tokens + RATE * (now() - self._at))
        self._at = now()
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


@dataclass
class Host:
    name: str
    policy: SlidingWindow | FixedWindow | TokenBucket
    retry_after: float | None
    requests: int = 0

    async def answer(self) -> bool:
        self.requests += 1
        accepted = self.policy.accepts()
        await asyncio.sleep(random.uniform(0.5, 1.5) * NETWORK_S)
        return accepted


@dataclass
class System:
    """Processes that work on a queue with COUNT messages of each host, in turn of each of `customers`."""

    hosts: list[Host]
    customers: int = 1
    ready: asyncio.Queue[tuple[Host, str]] = field(default_factory=asyncio.Queue)
    delayed: set[asyncio.Task[None]] = field(default_factory=set)
    requeued: int = 0
    ended: int = 0
    empty: asyncio.Event = field(default_factory=asyncio.Event)

    def fill(self) -> None:
        for number in range(COUNT):
            for host in self.hosts:
                self.ready.put_nowait((host, str(number % self.customers)))

    def requeue(self, host: Host, customer: str, delay: float) -> None:
        async def later() -> None:
            await asyncio.sleep(round(delay))
            self.ready.put_nowait((host, customer))

        self.requeued += 1
        task = asyncio.create_task(later())
        self.delayed.add(task)
        task.add_done_callback(self.delayed.discard)

    async def work(self, limiter: HostLimiter, host: Host, customer: str) -> None:
        try:
            for _ in range(2):
                slot = await limiter.acquire(host.name, customer)
                if await host.answer():
                    limiter.release(slot)
                    self.ended += 1
                    if self.ended == COUNT * len(self.hosts):
                        self.empty.set()
                    return
                limiter.release(slot, Answer.REFUSED, RateLimited(retry_after=host.retry_after))
            raise limiter.defer_refused(host.name, customer)
        except HostBusy as busy:
            self.requeue(host, customer, busy.retry_after)

    async def consume(self) -> None:
        """Run one process: it acquires a slot before it receives a message."""
        limiter, slots = HostLimiter(LIMIT, max_wait=2), asyncio.Semaphore(SLOTS)
        async with asyncio.TaskGroup() as group:
            while True:
                await slots.acquire()
                host, customer = await self.ready.get()
                await asyncio.sleep(RECEIVE_S)
                task = group.create_task(self.work(limiter, host, customer))
                task.add_done_callback(lambda _: slots.release())


def empty(hosts: list[Host], processes: int, customers: int) -> tuple[System, float]:
    """Return the system after all messages ended, and the seconds that it took."""

    async def run() -> tuple[System, float]:
        system = System(hosts, customers)
        system.fill()
        consumers = [asyncio.create_task(system.consume()) for _ in range(processes)]
        await system.empty.wait()
        for consumer in consumers:
            consumer.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(*consumers)
        return system, now()

    return run_virtually(run())


@pytest.mark.parametrize("processes", [1, 2])
@pytest.mark.parametrize("retry_after", [None, 1])
@pytest.mark.parametrize("policy", [SlidingWindow, FixedWindow, TokenBucket])
def test_a_backlog_is_served_at_the_rate_of_the_host(
    policy: Callable[[], SlidingWindow | FixedWindow | TokenBucket],
    retry_after: float | None,
    processes: int,
) -> None:
    """The time is at most 1.3 times the ideal one, with at most 1.5 requests per image."""
    random.seed(1)
    hosts = [Host(name, policy(), retry_after) for name in ("a.example", "b.example")]
    system, seconds = empty(hosts, processes, customers=1)
    assert seconds < 1.3 * COUNT / RATE
    assert all(host.requests < 1.5 * COUNT for host in hosts)
    assert system.requeued < 5 * COUNT * len(hosts)


@pytest.mark.parametrize(("processes", "customers"), [(1, 2), (1, 4), (2, 2)])
@pytest.mark.parametrize("policy", [SlidingWindow, FixedWindow, TokenBucket])
def test_customers_of_a_host_share_its_rate(
    policy: Callable[[], SlidingWindow | FixedWindow | TokenBucket], processes: int, customers: int
) -> None:
    """Each learns its part. The part of one that has ended is not used at once, so the end takes longer."""
    random.seed(1)
    hosts = [Host("a.example", policy(), retry_after=1)]
    system, seconds = empty(hosts, processes, customers)
    assert seconds < 1.8 * COUNT / RATE
    assert hosts[0].requests < 1.5 * COUNT
    assert system.requeued < 5 * COUNT * customers
