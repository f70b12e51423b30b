"""The liveness probe and the event-loop monitor behind it."""

import asyncio
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter

from core.runtime.event_loop_monitor import EVENT_LOOP_LAG_SECONDS, INTERVAL_S, EventLoopMonitor
from core.runtime.metrics import serve_metrics
from harness.reserved_port import ReservedPort


def get(url: str) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(url, timeout=60) as answer:  # noqa: S310  our own page
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def test_a_stuck_loop_fails_the_probe_but_not_the_metrics() -> None:
    """Both are served by a thread."""
    registry = CollectorRegistry()
    Counter("seen", "A metric.", registry=registry).inc()
    port, alive = ReservedPort(), [True]
    serve_metrics("127.0.0.1", port.number, lambda: alive[0], registry)
    page = f"http://127.0.0.1:{port.number}"
    probe, metrics = f"{page}/livez", f"{page}/metrics"
    assert get(probe) == (200, b"alive\n")
    alive[0] = False
    assert get(probe) == (503, b"the event loop is stuck\n")
    assert get(f"{page}/livz")[0] == 404, "a misspelt probe must not pass"
    status, body = get(metrics)
    assert status == 200
    assert b"seen_total 1.0" in body


def test_a_loop_that_blocks_at_its_first_turn_is_stuck() -> None:
    """For example because the first message blocks it. A thread calls `alive`, as the probe does."""
    monitor = EventLoopMonitor(stall_timeout_s=0.2)
    release, blocked = threading.Event(), threading.Event()

    async def block() -> None:
        ticking = asyncio.create_task(monitor.run())
        await asyncio.sleep(0)
        blocked.set()
        release.wait(60)
        ticking.cancel()

    loop = threading.Thread(target=asyncio.run, args=(block(),))
    loop.start()
    try:
        assert blocked.wait(60)
        deadline = time.monotonic() + 60
        while monitor.alive() and time.monotonic() < deadline:
            time.sleep(0.01)
        assert not monitor.alive()
    finally:
        release.set()
        loop.join()


def test_a_long_block_has_a_sample_for_each_missed_tick() -> None:
    """Otherwise a block of two seconds would be one late tick of two hundred."""
    before = _samples()

    async def block() -> None:
        ticking = asyncio.create_task(EventLoopMonitor().run())
        await asyncio.sleep(0)
        time.sleep(4 * INTERVAL_S)  # noqa: ASYNC251  blocks the loop on purpose
        await asyncio.sleep(0.01)
        ticking.cancel()

    asyncio.run(block())
    assert _samples() - before >= 3


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while True:
            if condition():
                return
            await asyncio.sleep(0.01)


async def test_a_running_loop_is_alive_and_a_stuck_one_is_not() -> None:
    """Before its first tick it counts as alive: the process starts."""
    monitor = EventLoopMonitor(stall_timeout_s=60)
    assert monitor.alive()
    before = _samples()
    ticking = asyncio.create_task(monitor.run())
    await until(lambda: _samples() >= before + 2)
    assert monitor.alive()
    ticking.cancel()
    monitor._stall_timeout_s = 0.1
    await until(lambda: not monitor.alive())


def _samples() -> float:
    return sum(
        sample.value
        for metric in EVENT_LOOP_LAG_SECONDS.collect()
        for sample in metric.samples
        if sample.name.endswith("_count")
    )
