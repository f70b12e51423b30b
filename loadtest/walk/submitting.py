"""Requests for the lists: many at once before the first walk, then some each second while lists are walked."""

import asyncio
import time
from functools import partial

from imageservice.v1 import image_service_pb2_grpc as pb_grpc
from loadtest.cancellation import cancelled
from loadtest.driver.progress_bar import ProgressBar
from loadtest.million.desk import ACKNOWLEDGE, Desk
from loadtest.million.ledger import Ledger
from loadtest.million.submitting import CALL_SECONDS, StreamSender, image_of
from loadtest.million.work import Work
from loadtest.run_report.recorder import Recorder
from loadtest.run_report.schedule import Schedule
from loadtest.walk.calling import again
from loadtest.walk.items import WalkItems

UNANSWERED = 2_000
"""Most items that the streams send ahead of their answers."""
STEADY_AT_ONCE = 64
LOOK_SECONDS = 0.5


class NotSubmitted(Exception):
    """The service refused requests, or nothing was answered for as long as patience lasts."""


async def submit_all(
    stub: "pb_grpc.ImageServiceAsyncStub",
    items: WalkItems,
    recorder: Recorder,
    bar: ProgressBar,
    *,
    streams: int,
    patience: float,
) -> None:
    """Every item of `items.total`, by SubmitImages, until each is acknowledged. Raises NotSubmitted."""
    ledger = Ledger(items.total)
    work = Work(ledger, items.total, window=UNANSWERED)
    desk = Desk(items, ledger, work, recorder)
    desk.on_acknowledged = lambda _: work.leave_window()
    bar.begin("submitted", items.total)
    senders = [StreamSender(stub, work, desk).run() for _ in range(streams)]
    tasks = [asyncio.create_task(each) for each in (work.feed(None), *senders)]
    try:
        await _until_settled(ledger, tasks, items.total, bar, patience)
    finally:
        await cancelled(tasks)
    if ledger.refused:
        raise NotSubmitted(f"{ledger.refused:,} requests were refused")


async def _until_settled(
    ledger: Ledger, tasks: list[asyncio.Task[None]], total: int, bar: ProgressBar, patience: float
) -> None:
    news, since = -1, time.monotonic()
    while ledger.settled < total:
        for task in tasks:
            if task.done():
                task.result()
        if ledger.settled != news:
            news, since = ledger.settled, time.monotonic()
        if time.monotonic() - since > patience:
            raise NotSubmitted(f"{total - ledger.settled:,} requests were not answered")
        bar.show(ledger.settled)
        await asyncio.sleep(LOOK_SECONDS)
    bar.show(ledger.settled)


class Steady:
    """Submits by SubmitImage at a rate of its own, whatever the walks do."""

    def __init__(
        self,
        stub: "pb_grpc.ImageServiceAsyncStub",
        items: WalkItems,
        recorder: Recorder,
        patience: float,
    ) -> None:
        self._stub = stub
        self._items = items
        self._recorder = recorder
        self._patience = patience
        self._acknowledged: list[tuple[int, float]] = []
        self._places = asyncio.Semaphore(STEADY_AT_ONCE)

    @property
    def came(self) -> int:
        return len(self._acknowledged)

    def acknowledged(self, before: float) -> list[int]:
        """Numbers of those that were acknowledged before this time of the monotonic clock."""
        return [number for number, time_ in self._acknowledged if time_ < before]

    async def submit(self, rate: float) -> None:
        """Until cancelled. Raises what a submit failed with when patience ended."""
        schedule = Schedule(time.monotonic(), rate)
        number = 0
        async with asyncio.TaskGroup() as group:
            while True:
                await asyncio.sleep(max(0.0, schedule.intended(number) - time.monotonic()))
                await self._places.acquire()
                group.create_task(self._one(self._items.total + number))
                number += 1

    async def _one(self, number: int) -> None:
        began = time.monotonic()
        try:
            self._recorder.count("submitted")
            call = partial(
                self._stub.SubmitImage, image_of(self._items, number), timeout=CALL_SECONDS
            )
            await again(self._patience, call)
        finally:
            self._places.release()
        self._recorder.count("acknowledged")
        self._recorder.latency(ACKNOWLEDGE, time.monotonic() - began)
        self._acknowledged.append((number, time.monotonic()))
