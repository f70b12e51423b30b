"""Callers that read during the traffic: states, watches, lists, searches and images."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from itertools import count

import grpc

from imageservice.v1 import image_service_pb2 as pb
from imageservice.v1 import image_service_pb2_grpc
from robustness.history import ImageRead, Observed, Walked, WatchEnded
from robustness.traffic.client import CALL_TIMEOUT_S, STREAM_TIMEOUT_S, Callers, observed
from robustness.traffic.submits import Traffic

_SAMPLES_PER_S = 10.0
_WATCHED = 60
_RECENT = 400
_PAGE_SIZES = (7, 50, 200)
_FINAL_PAGE_SIZE = 1_000
_WALK_TRIES = 60
_RETRY_S = 1.0

LISTS = ("requests", "failed", "images", "search")


class WalkFailed(Exception):
    """A list had no answer, however often it was asked for."""


@dataclass(slots=True)
class Observers:
    """Reads until `stopped` is set. `customers` are those of the plan."""

    callers: Callers
    traffic: Traffic
    customers: list[str]
    rng: random.Random
    stopped: asyncio.Event = field(default_factory=asyncio.Event)
    _watches: "count[int]" = field(default_factory=lambda: count(1))

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            for observe in (self._sample, self._watch, self._watch, self._walk, self._read_images):
                tasks.create_task(self._repeat(observe))

    async def _repeat(self, observe: Callable[[], Awaitable[None]]) -> None:
        """Call `observe` until the observers are stopped."""
        while not self.stopped.is_set():
            await observe()

    async def _pause(self, seconds: float) -> None:
        """Wait, or until the observers are stopped."""
        try:
            async with asyncio.timeout(seconds):
                await self.stopped.wait()
        except TimeoutError:
            pass

    async def _sample(self) -> None:
        await self._pause(1 / _SAMPLES_PER_S)
        if accepted := list(self.traffic.accepted_at):
            await self.callers.status(self.rng.choice(accepted))

    async def _watch(self) -> None:
        """Watch some of the requests that were accepted last, to the end of the stream."""
        await self._pause(0.2)
        recent = list(self.traffic.accepted_at)[-_RECENT:]
        if not recent:
            return
        ids = self.rng.sample(recent, min(len(recent), _WATCHED))
        watch = next(self._watches)
        server, stub = self.callers.any()
        began = time.time()
        call = stub.WatchRequest(pb.WatchRequestRequest(request_ids=ids), timeout=STREAM_TIMEOUT_S)
        try:
            async for event in call:
                self.callers.history.add(observed(event.request, began, watch=watch))
        except grpc.aio.AioRpcError as error:
            self.callers.refused("WatchRequest", server, began, error, *ids)
        else:
            self.callers.history.add(WatchEnded(began, time.time(), watch, server, tuple(ids)))

    async def _walk(self) -> None:
        await self._pause(0.5)
        name = self.rng.choice(LISTS)
        try:
            await walk(
                self.callers,
                name,
                self.rng.choice(self.customers),
                page_size=self.rng.choice(_PAGE_SIZES),
                tries=3,
            )
        except WalkFailed:
            return

    async def _read_images(self) -> None:
        await self._pause(0.5)
        seen = [each for each in self.callers.history.events[-200:] if isinstance(each, Observed)]
        if images := [each for each in seen if each.image_id]:
            chosen = self.rng.choice(images)
            await read_image(self.callers, chosen.image_id, chosen.id)


async def read_image(
    callers: Callers, image_id: str, request_id: str, *, final: bool = False
) -> None:
    """Read one image and record whether it was found."""
    server, stub = callers.any()
    began = time.time()
    try:
        await stub.GetImage(pb.GetImageRequest(image_id=image_id), timeout=CALL_TIMEOUT_S)
        found = True
    except grpc.aio.AioRpcError as error:
        if error.code() is not grpc.StatusCode.NOT_FOUND:
            callers.refused("GetImage", server, began, error, request_id)
            return
        found = False
    callers.history.add(ImageRead(began, time.time(), image_id, request_id, found, final))


async def walk(
    callers: Callers,
    name: str,
    customer: str,
    *,
    page_size: int = _FINAL_PAGE_SIZE,
    final: bool = False,
    tries: int = _WALK_TRIES,
) -> None:
    """Read all pages of a list and record the ids. Raises WalkFailed after `tries` errors.

    A page that had no answer is read again with the same token.
    """
    began = time.time()
    ids: list[str] = []
    token = ""
    errors = 0
    while True:
        server, stub = callers.any()
        called = time.time()
        try:
            page, token = await _page(stub, name, customer, page_size, token)
        except grpc.aio.AioRpcError as error:
            callers.refused(_RPCS[name], server, called, error)
            errors += 1
            if errors >= tries:
                raise WalkFailed(f"{name} of {customer}") from None
            await asyncio.sleep(_RETRY_S)
            continue
        ids += page
        if not token:
            break
    callers.history.add(Walked(began, time.time(), name, customer, tuple(ids), final))


_RPCS = {
    "requests": "ListRequests",
    "failed": "ListRequests",
    "images": "ListImages",
    "search": "SearchImages",
}


async def _page(
    stub: "image_service_pb2_grpc.ImageServiceAsyncStub",
    name: str,
    customer: str,
    page_size: int,
    token: str,
) -> tuple[list[str], str]:
    """Return the request ids of a page, and the token of the next."""
    match name:
        case "images":
            of_images = pb.ListImagesRequest(
                customer_id=customer, page_size=page_size, page_token=token
            )
            images = await stub.ListImages(of_images, timeout=CALL_TIMEOUT_S)
            return [image.request_id for image in images.images], images.next_page_token
        case "search":
            search = pb.SearchImagesRequest(
                customer_id=customer, page_size=page_size, page_token=token
            )
            found = await stub.SearchImages(search, timeout=CALL_TIMEOUT_S)
            return [image.request_id for image in found.images], found.next_page_token
    of_requests = pb.ListRequestsRequest(
        customer_id=customer,
        state=pb.STATE_FAILED if name == "failed" else pb.STATE_UNSPECIFIED,
        page_size=page_size,
        page_token=token,
    )
    listed = await stub.ListRequests(of_requests, timeout=CALL_TIMEOUT_S)
    return [request.request_id for request in listed.requests], listed.next_page_token
