"""The liveness probe: what it answers, and what makes it."""

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
        with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310  our own page
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def test_the_probe_follows_the_pulse_and_the_metrics_do_not() -> None:
    """A stuck loop fails the probe; its metrics can still be read."""
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
    status, told = get(metrics)
    assert status == 200
    assert b"seen_total 1.0" in told


def test_a_loop_that_stands_is_stuck_from_its_first_turn_on() -> None:
    """It stands before its first beat, as where the first message hangs it; a thread asks, as the probe does."""
    pulse, let_go, stands = EventLoopMonitor(stuck_s=0.2), threading.Event(), threading.Event()

    async def stand() -> None:
        beating = asyncio.create_task(pulse.run())
        await asyncio.sleep(0)
        stands.set()
        let_go.wait(10)
        beating.cancel()

    loop = threading.Thread(target=asyncio.run, args=(stand(),))
    loop.start()
    try:
        assert stands.wait(10)
        deadline = time.monotonic() + 10
        while pulse.alive() and time.monotonic() < deadline:
            time.sleep(0.01)
        assert not pulse.alive()
    finally:
        let_go.set()
        loop.join()


def test_a_long_block_weighs_as_many_samples_as_beats_were_due() -> None:
    """Or blocking for two seconds would be one late beat among two hundred."""
    before = _samples()

    async def block() -> None:
        beating = asyncio.create_task(EventLoopMonitor().run())
        await asyncio.sleep(0)
        time.sleep(4 * INTERVAL_S)  # noqa: ASYNC251  the loop is to be blocked
        await asyncio.sleep(0.01)
        beating.cancel()

    asyncio.run(block())
    assert _samples() - before >= 3


async def until(there: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while True:
            if there():
                return
            await asyncio.sleep(0.01)


async def test_a_loop_that_turns_is_alive_and_one_that_stands_is_not() -> None:
    """A loop that never began is starting; one whose beats stay away for long enough is stuck."""
    pulse = EventLoopMonitor(stuck_s=60)
    assert pulse.alive()
    before = _samples()
    beating = asyncio.create_task(pulse.run())
    await until(lambda: _samples() >= before + 2)
    assert pulse.alive()
    beating.cancel()
    pulse._stuck_s = 0.1
    await until(lambda: not pulse.alive())


def _samples() -> float:
    return sum(
        sample.value
        for metric in EVENT_LOOP_LAG_SECONDS.collect()
        for sample in metric.samples
        if sample.name.endswith("_count")
    )
