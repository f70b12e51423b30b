"""A steady load of submits, states, watches and searches, which notes everything that a caller must not be told."""

import asyncio
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import cycle
from random import Random

import grpc

from harness.grpc_client import refusal
from harness.origin import Origin
from harness.system import System
from imageservice.v1 import image_service_pb2 as pb
from imageservice.v1 import image_service_pb2_grpc

CUSTOMERS = ("acme", "globex", "initech")
EACH_S = 0.08
"""Between two submits; between two searches as well."""
WATCHED = 10
"""Ids of one watch."""
MISSING = 8
"""One of so many is not at its origin, so that it FAILS."""
SEARCH_DOWN = "SEARCH_UNAVAILABLE"
_CALL_S = 30


@dataclass(slots=True)
class Submitted:
    """`request` is the latest state that anybody was told."""

    customer: str
    expected: "pb.State.ValueType"
    request: pb.ImageRequest | None = None


@dataclass(slots=True)
class Load:
    """`faults` must stay empty. `searched` counts what searches ended with: OK, or a reason."""

    stub: "image_service_pb2_grpc.ImageServiceAsyncStub"
    images: Origin
    submitted: dict[str, Submitted] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    searched: Counter[str] = field(default_factory=Counter)
    _over: asyncio.Event = field(default_factory=asyncio.Event)
    _watching: list[str] = field(default_factory=list)
    _random: Random = field(default_factory=lambda: Random(5))

    async def run(self) -> None:
        """Until `end`, and until every watch has ended by itself."""
        async with asyncio.TaskGroup() as group:
            searching = group.create_task(self._search_on())
            customers = cycle(CUSTOMERS)
            number = 0
            while not self._over.is_set():
                group.create_task(self._one(number, next(customers), group))
                number += 1
                await asyncio.sleep(EACH_S)
            await searching
        if self._watching:
            await self._watch(self._watching)

    def end(self) -> None:
        self._over.set()

    async def until(self, condition: Callable[[], bool], *, seconds: float = 90) -> None:
        """Wait for something to come of the load."""
        async with asyncio.timeout(seconds):
            while not condition():  # noqa: ASYNC110  many tasks change it
                await asyncio.sleep(EACH_S)

    async def go_on(self, count: int) -> None:
        """Wait until so many more were accepted."""
        aim = len(self.submitted) + count
        await self.until(lambda: len(self.submitted) >= aim)

    async def next_search(self, outcome: str) -> None:
        """Wait until a search that begins from now on ends so."""
        # One that is under way may still end as it did before.
        aim = self.searched[outcome] + 2
        await self.until(lambda: self.searched[outcome] >= aim)

    def expected(self, customer: str) -> set[str]:
        """The requests of whose images each must be found."""
        return {
            request_id
            for request_id, each in self.submitted.items()
            if each.customer == customer and each.expected == pb.STATE_COMPLETED
        }

    async def _one(self, number: int, customer: str, group: asyncio.TaskGroup) -> None:
        missing = number % MISSING == 0
        url = f"{self.images.base}/missing/{number}" if missing else self.images.image_url(number)
        request_id = str(uuid.uuid4())
        asked = pb.SubmitImageRequest(
            url=url, customer_id=customer, request_id=request_id, labels={"run": "kills"}
        )
        try:
            await self.stub.SubmitImage(asked, timeout=_CALL_S)
        except grpc.aio.AioRpcError as error:
            self.faults.append(f"submit: {refusal(error)}")
            return
        state = pb.STATE_FAILED if missing else pb.STATE_COMPLETED
        self.submitted[request_id] = Submitted(customer, state)
        self._watching.append(request_id)
        if len(self._watching) == WATCHED:
            group.create_task(self._watch(self._watching))
            self._watching = []
        await self._status(request_id)
        await self._status(self._random.choice(list(self.submitted)))

    async def _status(self, request_id: str) -> None:
        before = self.submitted[request_id].request
        try:
            answer = await self.stub.GetStatus(
                pb.GetStatusRequest(request_id=request_id), timeout=_CALL_S
            )
        except grpc.aio.AioRpcError as error:
            self.faults.append(f"state: {refusal(error)}")
            return
        self._told("state", before, answer.request)

    async def _watch(self, ids: list[str]) -> None:
        """To the end of each."""
        told: dict[str, pb.ImageRequest] = {}
        try:
            async for event in self.stub.WatchRequest(pb.WatchRequestRequest(request_ids=ids)):
                request_id = event.request.request_id
                self._told("watch", told.get(request_id), event.request)
                told[request_id] = event.request
        except grpc.aio.AioRpcError as error:
            self.faults.append(f"watch: {refusal(error)}")
            return
        for request_id in ids:
            state = told[request_id].state if request_id in told else None
            if state != self.submitted[request_id].expected:
                self.faults.append(f"watch: {request_id} ended {state}")

    def _told(self, by: str, before: pb.ImageRequest | None, now: pb.ImageRequest) -> None:
        """Judge a state against what was known before it was asked for."""
        mine = self.submitted[now.request_id]
        if now.customer_id != mine.customer or now.state not in {pb.STATE_PENDING, mine.expected}:
            self.faults.append(f"{by}: {now.request_id} of {now.customer_id} is {now.state}")
        if before is not None and (
            now.revision < before.revision or (before.state != pb.STATE_PENDING and now != before)
        ):
            self.faults.append(f"{by}: {now.request_id} went back to revision {now.revision}")
        if mine.request is None or mine.request.revision < now.revision:
            mine.request = now

    async def _search_on(self) -> None:
        customers = cycle(CUSTOMERS)
        while not self._over.is_set():
            await self._search(next(customers))
            await asyncio.sleep(EACH_S)

    async def _search(self, customer: str) -> None:
        try:
            answer = await self.stub.SearchImages(
                pb.SearchImagesRequest(customer_id=customer, text="kills", page_size=100),
                timeout=_CALL_S,
            )
        except grpc.aio.AioRpcError as error:
            reason = refusal(error).reason
            self.searched[reason] += 1
            if reason != SEARCH_DOWN:
                self.faults.append(f"search: {refusal(error)}")
            return
        self.searched["OK"] += 1
        found = [image.request_id for image in answer.images]
        wrong = set(found) - self.expected(customer)
        # An image may be found before its submit's own answer has come back.
        if len(found) != len(set(found)) or any(each in self.submitted for each in wrong):
            self.faults.append(f"search: {customer} got {sorted(found)}")


@asynccontextmanager
async def load(running: System, images: Origin) -> AsyncIterator[Load]:
    """Under way when it is there, and ended in the end."""
    async with running.stub() as stub:
        put = Load(stub, images)
        task = asyncio.create_task(put.run())
        try:
            yield put
        finally:
            put.end()
            async with asyncio.timeout(120):
                await task
