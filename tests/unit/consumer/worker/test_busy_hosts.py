"""What a backlog of one slow host takes from the others, and what it costs."""

import asyncio
import contextlib
from dataclasses import dataclass, field

import pytest

from consumer.fetching.host_limiter import HostBusy, HostLimiter
from harness.virtual_time import run_virtually

SLOTS = 64
LIMIT = 8
RECEIVE_S = 1 / 300
"""A message is received and given back in about that time."""
NEIGHBOUR = -1


@dataclass
class Queue:
    """A queue with delayed messages, of which one is a neighbour's, behind a backlog of `count` of a slow host."""

    count: int
    ready: asyncio.Queue[int] = field(default_factory=asyncio.Queue)
    delayed: set[asyncio.Task[None]] = field(default_factory=set)
    requeued: int = 0
    ended: int = 0
    ended_before_neighbour: int | None = None
    empty: asyncio.Event = field(default_factory=asyncio.Event)

    def fill(self) -> None:
        for number in range(self.count):
            self.ready.put_nowait(number)
        self.ready.put_nowait(NEIGHBOUR)

    def give_back(self, number: int, delay: float) -> None:
        async def later() -> None:
            await asyncio.sleep(round(delay))
            self.ready.put_nowait(number)

        self.requeued += 1
        task = asyncio.create_task(later())
        self.delayed.add(task)
        task.add_done_callback(self.delayed.discard)

    def finish(self) -> None:
        self.ended += 1
        if self.ended == self.count:
            self.empty.set()


async def work(queue: Queue, limiter: HostLimiter, number: int, answer_s: float) -> None:
    if number == NEIGHBOUR:
        queue.ended_before_neighbour = queue.ended
        return
    try:
        slot = await limiter.acquire("slow.example")
    except HostBusy as busy:
        queue.give_back(number, busy.retry_after)
        return
    await asyncio.sleep(answer_s)
    limiter.release(slot)
    queue.finish()


async def consume(queue: Queue, answer_s: float) -> None:
    """One process: a slot for each message, taken before it is received."""
    limiter, slots = HostLimiter(LIMIT, max_wait=2), asyncio.Semaphore(SLOTS)
    async with asyncio.TaskGroup() as group:
        while True:
            await slots.acquire()
            number = await queue.ready.get()
            await asyncio.sleep(RECEIVE_S)
            task = group.create_task(work(queue, limiter, number, answer_s))
            task.add_done_callback(lambda _: slots.release())


def empty(count: int, answer_s: float, processes: int) -> tuple[Queue, float]:
    """The queue, once it is empty, and after how many seconds it was."""

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
def test_a_backlog_of_a_slow_host_holds_nobody_up(
    count: int, answer_s: float, processes: int
) -> None:
    """The neighbour ends while most of it waits; it is served about as fast as can be, at few give-backs for each."""
    queue, seconds = empty(count, answer_s, processes)
    assert queue.ended_before_neighbour is not None
    assert queue.ended_before_neighbour < count / 10
    assert queue.requeued < 3 * count
    assert seconds < 1.25 * count * answer_s / LIMIT / processes + 30


@pytest.mark.parametrize("answer_s", [0.02, 0.05])
def test_a_quick_host_is_put_off_by_nobody(answer_s: float) -> None:
    """A long list of one quick host, the most ordinary load, costs no message more than its own."""
    queue, _ = empty(1_000, answer_s, processes=1)
    assert queue.requeued == 0
