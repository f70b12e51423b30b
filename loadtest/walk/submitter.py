"""Submits the requests: most before the first walk, further ones at a fixed rate during the walks."""

import asyncio
import time
from functools import partial

from imageservice.v1 import image_service_pb2_grpc as pb_grpc
from loadtest.cancellation import cancel_all
from loadtest.driver.progress_bar import ProgressBar
from loadtest.million.event_router import ACKNOWLEDGE, EventRouter
from loadtest.million.ledger import Ledger
from loadtest.million.scheduler import Scheduler
from loadtest.million.sender import CALL_TIMEOUT_S, StreamSender, image_of
from loadtest.run_report.recorder import Recorder
from loadtest.run_report.schedule import Schedule
from loadtest.walk.items import WalkItems
from loadtest.walk.retry import with_retries

MAX_UNANSWERED = 2_000
"""Maximum of items that the streams send ahead of their results."""
MAX_CALLS = 64
POLL_S = 0.5


class NotSubmitted(Exception):
    """The service rejected requests, or acknowledged none within the progress timeout of the run."""


async def submit_all(
    stub: "pb_grpc.ImageServiceAsyncStub",
    items: WalkItems,
    recorder: Recorder,
    bar: ProgressBar,
    *,
    streams: int,
    progress_timeout: float,
) -> None:
    """Submit `items.total` items over streams and wait until all are acknowledged. Raises NotSubmitted."""
    ledger = Ledger(items.total)
    scheduler = Scheduler(ledger, items.total, window=MAX_UNANSWERED)
    router = EventRouter(items, ledger, scheduler, recorder)
    router.on_acknowledged = lambda _: scheduler.release_slot()
    bar.begin("submitted", items.total)
    senders = [StreamSender(stub, scheduler, router).run() for _ in range(streams)]
    tasks = [asyncio.create_task(each) for each in (scheduler.feed(None), *senders)]
    try:
        await _wait_until_answered(ledger, tasks, items.total, bar, progress_timeout)
    finally:
        await cancel_all(tasks)
    if ledger.rejected:
        raise NotSubmitted(f"{ledger.rejected:,} requests were rejected")


async def _wait_until_answered(
    ledger: Ledger,
    tasks: list[asyncio.Task[None]],
    total: int,
    bar: ProgressBar,
    progress_timeout: float,
) -> None:
    last, since = -1, time.monotonic()
    while ledger.answered < total:
        for task in tasks:
            if task.done():
                task.result()
        if ledger.answered != last:
            last, since = ledger.answered, time.monotonic()
        if time.monotonic() - since > progress_timeout:
            raise NotSubmitted(f"{total - ledger.answered:,} requests were not answered")
        bar.show(ledger.answered)
        await asyncio.sleep(POLL_S)
    bar.show(ledger.answered)


class SteadySubmitter:
    """Submits with SubmitImage calls at a fixed rate, independent of the walks."""

    def __init__(
        self,
        stub: "pb_grpc.ImageServiceAsyncStub",
        items: WalkItems,
        recorder: Recorder,
        progress_timeout: float,
    ) -> None:
        self._stub = stub
        self._items = items
        self._recorder = recorder
        self._progress_timeout = progress_timeout
        self._acknowledged: list[tuple[int, float]] = []
        self._slots = asyncio.Semaphore(MAX_CALLS)

    @property
    def submitted(self) -> int:
        """Number of acknowledged requests."""
        return len(self._acknowledged)

    def acknowledged(self, before: float) -> list[int]:
        """Return the items that were acknowledged before this time of the monotonic clock."""
        return [number for number, at in self._acknowledged if at < before]

    async def submit(self, rate: float) -> None:
        """Submit until cancelled. Raises the error of a call that fails for longer than the progress timeout."""
        schedule = Schedule(time.monotonic(), rate)
        number = 0
        async with asyncio.TaskGroup() as group:
            while True:
                await asyncio.sleep(max(0.0, schedule.intended(number) - time.monotonic()))
                await self._slots.acquire()
                group.create_task(self._submit_one(self._items.total + number))
                number += 1

    async def _submit_one(self, number: int) -> None:
        began = time.monotonic()
        try:
            self._recorder.count("submitted")
            call = partial(
                self._stub.SubmitImage, image_of(self._items, number), timeout=CALL_TIMEOUT_S
            )
            await with_retries(self._progress_timeout, call)
        finally:
            self._slots.release()
        self._recorder.count("acknowledged")
        self._recorder.latency(ACKNOWLEDGE, time.monotonic() - began)
        self._acknowledged.append((number, time.monotonic()))
