"""A backlog of one slow host does not delay other hosts, and costs few requeues."""

import asyncio
import contextlib
from dataclasses import dataclass, field

import pytest

from consumer.fetching.limits.host_customer import HostBusy
from consumer.fetching.limits.host_limiter import HostLimiter
from harness.virtual_time import run_virtually

SLOTS = 64
LIMIT = 8
RECEIVE_S = 1 / 300
"""Time to receive and requeue a message."""
OTHER_HOST = -1


@dataclass
class Queue:
    """A queue with `count` messages of a slow host and, behind them, one of another host."""

    count: int
    ready: asyncio.Queue[int] = field(default_factory=asyncio.Queue)
    delayed: set[asyncio.Task[None]] = field(default_factory=set)
    requeued: int = 0
    ended: int = 0
    ended_before_other_host: int | None = None
    empty: asyncio.Event = field(default_factory=asyncio.Event)

    def fill(self) -> None:
        for number in range(self.count):
            self.ready.put_nowait(number)
        self.ready.put_nowait(OTHER_HOST)

    def requeue(self, number: int, delay: float) -> None:
        async def later() -> None:
            await asyncio.sleep(round(delay))
            self.ready.put_nowait(number)

        self.requeued += 1
        task = asyncio.create_task(later())
        self.delayed.add(task)
        task.add_done_callback(self.delayed.discard)

    def ack(self) -> None:
        self.ended += 1
        if self.ended == self.count:
            self.empty.set()


async def work(queue: Queue, limiter: HostLimiter, number: int, answer_s: float) -> None:
    if number == OTHER_HOST:
        queue.ended_before_other_host = queue.ended
        return
    try:
        slot = await limiter.acquire("slow.example")
    except HostBusy as busy:
        queue.requeue(number, busy.retry_after)
        return
    await asyncio.sleep(answer_s)
    limiter.release(slot)
    queue.ack()


async def consume(queue: Queue, answer_s: float) -> None:
    """Run one process: it acquires a slot before it receives a message."""
    limiter, slots = HostLimiter(LIMIT, max_wait=2), asyncio.Semaphore(SLOTS)
    async with asyncio.TaskGroup() as group:
        while True:
            await slots.acquire()
            number = await queue.ready.get()
            await asyncio.sleep(RECEIVE_S)
            task = group.create_task(work(queue, limiter, number, answer_s))
            task.add_done_callback(lambda _: slots.release())


def empty(count: int, answer_s: float, processes: int) -> tuple[Queue, float]:
    """Return the queue after all messages ended, and the seconds that it took."""

    async def run() -> tuple[Queue, float]:
        queue = Queue(count)
        queue.fill()
        consumers = [asyncio.create_task(consume(queue, answer_s)) for _ in range(processes)]
        await queue.empty.wait()
        for consumer in consumers:
            consumer.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(*consumers)
        return queue, asyncio.get_running_loop().time()

    return run_virtually(run())


@pytest.mark.parametrize(
    ("count", "answer_s", "processes"), [(300, 2, 1), (1_000, 2, 1), (2_000, 2, 4), (300, 30, 1)]
)
def test_a_backlog_of_a_slow_host_does_not_delay_another_host(
    count: int, answer_s: float, processes: int
) -> None:
    """The backlog is processed almost as fast as possible, with few requeues per message."""
    queue, seconds = empty(count, answer_s, processes)
    assert queue.ended_before_other_host is not None
    assert queue.ended_before_other_host < count / 10
    assert queue.requeued < 3 * count
    assert seconds < 1.25 * count * answer_s / LIMIT / processes + 30


@pytest.mark.parametrize("answer_s", [0.02, 0.05])
def test_messages_of_a_fast_host_are_not_requeued(answer_s: float) -> None:
    """A long list of one fast host is the most common load."""
    queue, _ = empty(1_000, answer_s, processes=1)
    assert queue.requeued == 0
