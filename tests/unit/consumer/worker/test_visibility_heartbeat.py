"""The heartbeat keeps its time, whatever its calls do."""

import asyncio
from collections.abc import Sequence
from itertools import pairwise
from typing import cast

from consumer.worker.receive_queue import ReceiveQueue
from consumer.worker.visibility_heartbeat import beat
from core.errors import DependencyUnavailable
from harness.virtual_time import run_virtually

TIMEOUT_S = 120


class SlowInbox:
    """Holds eleven messages, that is two batches; `misbehave` is called before the first batch is extended."""

    receipts = tuple(str(number) for number in range(11))

    def __init__(self, misbehave: "Misbehaviour") -> None:
        self._misbehave = misbehave
        self.extended: dict[str, list[float]] = {receipt: [0.0] for receipt in self.receipts}

    async def extend(self, receipts: Sequence[str], _seconds: int) -> None:
        loop = asyncio.get_running_loop()
        started = loop.time()
        if receipts[0] == "0":
            await self._misbehave(len(self.extended["0"]))
        for receipt in receipts:
            self.extended[receipt].append(started)


class Misbehaviour:
    """Each second extend hangs for ever, or fails."""

    def __init__(self, *, hang: bool) -> None:
        self._hang = hang
        self._calls = 0

    async def __call__(self, _extended: int) -> None:
        self._calls += 1
        if self._calls % 2:
            if self._hang:
                await asyncio.Event().wait()
            raise DependencyUnavailable("sqs")


def test_a_call_that_hangs_or_fails_loses_no_lease() -> None:
    """No message goes without an extension for as long as its visibility lasts."""
    for hang in (True, False):
        inbox = SlowInbox(Misbehaviour(hang=hang))

        async def an_hour(inbox: SlowInbox = inbox) -> None:
            beating = asyncio.create_task(beat(cast("ReceiveQueue", inbox), TIMEOUT_S))
            await asyncio.sleep(3_600)
            beating.cancel()

        run_virtually(an_hour())
        for moments in inbox.extended.values():
            gaps = [late - early for early, late in pairwise(moments)]
            assert max(gaps) < TIMEOUT_S
            assert len(moments) > 3_600 / TIMEOUT_S
