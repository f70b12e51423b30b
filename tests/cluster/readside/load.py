"""A steady load of submits, status reads, watches and searches. It records every wrong response."""

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
INTERVAL_S = 0.08
"""Between two submits, and between two searches."""
WATCHED_IDS = 10
"""Ids of one watch."""
MISSING_EVERY = 8
"""One of this many URLs does not exist at the origin, so that its request becomes FAILED."""
SEARCH_DOWN = "SEARCH_UNAVAILABLE"
_CALL_S = 30


@dataclass(slots=True)
class Submitted:
    """`request` is the latest state that any call returned."""

    customer: str
    expected: "pb.State.ValueType"
    request: pb.ImageRequest | None = None


@dataclass(slots=True)
class Load:
    """`faults` must stay empty. `searched` counts searches by result: OK or an error reason."""

    stub: "image_service_pb2_grpc.ImageServiceAsyncStub"
    images: Origin
    submitted: dict[str, Submitted] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    searched: Counter[str] = field(default_factory=Counter)
    _over: asyncio.Event = field(default_factory=asyncio.Event)
    _watching: list[str] = field(default_factory=list)
    _random: Random = field(default_factory=lambda: Random(5))

    async def run(self) -> None:
        """Run until `end` is called and every watch has ended by itself."""
        async with asyncio.TaskGroup() as group:
            searching = group.create_task(self._search_repeatedly())
            customers = cycle(CUSTOMERS)
            number = 0
            while not self._over.is_set():
                group.create_task(self._submit(number, next(customers), group))
                number += 1
                await asyncio.sleep(INTERVAL_S)
            await searching
        if self._watching:
            await self._watch(self._watching)

    def end(self) -> None:
        self._over.set()

    async def until(self, condition: Callable[[], bool], *, seconds: float = 90) -> None:
        """Wait until the condition is true."""
        async with asyncio.timeout(seconds):
            while not condition():  # noqa: ASYNC110  many tasks change it
                await asyncio.sleep(INTERVAL_S)

    async def wait_submitted(self, count: int) -> None:
        """Wait until `count` more requests are accepted."""
        target = len(self.submitted) + count
        await self.until(lambda: len(self.submitted) >= target)

    async def wait_search(self, result: str) -> None:
        """Wait until a search that begins after this call ends with `result`."""
        # A search that is in flight may still end with the previous result.
        target = self.searched[result] + 2
        await self.until(lambda: self.searched[result] >= target)

    def expected(self, customer: str) -> set[str]:
        """Return the ids of the requests whose images must be found."""
        return {
            request_id
            for request_id, each in self.submitted.items()
            if each.customer == customer and each.expected == pb.STATE_COMPLETED
        }

    async def _submit(self, number: int, customer: str, group: asyncio.TaskGroup) -> None:
        missing = number % MISSING_EVERY == 0
        url = f"{self.images.base}/missing/{number}" if missing else self.images.image_url(number)
        request_id = str(uuid.uuid4())
        submit = pb.SubmitImageRequest(
            url=url, customer_id=customer, request_id=request_id, labels={"run": "kills"}
        )
        try:
            await self.stub.SubmitImage(submit, timeout=_CALL_S)
        except grpc.aio.AioRpcError as error:
            self.faults.append(f"submit: {refusal(error)}")
            return
        state = pb.STATE_FAILED if missing else pb.STATE_COMPLETED
        self.submitted[request_id] = Submitted(customer, state)
        self._watching.append(request_id)
        if len(self._watching) == WATCHED_IDS:
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
            self.faults.append(f"status: {refusal(error)}")
            return
        self._check("status", before, answer.request)

    async def _watch(self, ids: list[str]) -> None:
        """Watch the requests until all have ended."""
        seen: dict[str, pb.ImageRequest] = {}
        try:
            async for event in self.stub.WatchRequest(pb.WatchRequestRequest(request_ids=ids)):
                request_id = event.request.request_id
                self._check("watch", seen.get(request_id), event.request)
                seen[request_id] = event.request
        except grpc.aio.AioRpcError as error:
            self.faults.append(f"watch: {refusal(error)}")
            return
        for request_id in ids:
            state = seen[request_id].state if request_id in seen else None
            if state != self.submitted[request_id].expected:
                self.faults.append(f"watch: {request_id} ended {state}")

    def _check(self, by: str, before: pb.ImageRequest | None, now: pb.ImageRequest) -> None:
        """Compare a state with the state that was known before the call."""
        known = self.submitted[now.request_id]
        if now.customer_id != known.customer or now.state not in {pb.STATE_PENDING, known.expected}:
            self.faults.append(f"{by}: {now.request_id} of {now.customer_id} is {now.state}")
        if before is not None and (
            now.revision < before.revision or (before.state != pb.STATE_PENDING and now != before)
        ):
            self.faults.append(f"{by}: {now.request_id} went back to revision {now.revision}")
        if known.request is None or known.request.revision < now.revision:
            known.request = now

    async def _search_repeatedly(self) -> None:
        customers = cycle(CUSTOMERS)
        while not self._over.is_set():
            await self._search(next(customers))
            await asyncio.sleep(INTERVAL_S)

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
        ids = [image.request_id for image in answer.images]
        wrong = set(ids) - self.expected(customer)
        # An image may be found before the response to its submit has arrived.
        if len(ids) != len(set(ids)) or any(each in self.submitted for each in wrong):
            self.faults.append(f"search: {customer} got {sorted(ids)}")


@asynccontextmanager
async def load(running: System, images: Origin) -> AsyncIterator[Load]:
    """Run the load while the block runs. Wait for its end afterwards."""
    async with running.stub() as stub:
        running_load = Load(stub, images)
        task = asyncio.create_task(running_load.run())
        try:
            yield running_load
        finally:
            running_load.end()
            async with asyncio.timeout(120):
                await task
