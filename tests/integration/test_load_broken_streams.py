"""The stream sender against a server that aborts streams: each item is sent until it has a result."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest

from harness.scripted_service import serve
from imageservice.v1 import image_service_pb2 as pb
from imageservice.v1 import image_service_pb2_grpc as pb_grpc
from loadtest.million.event_router import ACKNOWLEDGE, TERMINAL, EventRouter
from loadtest.million.items import Items
from loadtest.million.ledger import Ledger
from loadtest.million.scheduler import Scheduler
from loadtest.million.sender import StreamSender
from loadtest.run_report.recorder import Recorder

pytestmark = pytest.mark.timeout(60)

TOTAL = 400


class BreakingServer(pb_grpc.ImageServiceServicer):
    """Aborts the first streams after a few results, and serves later streams completely."""

    def __init__(self, streams_broken: int) -> None:
        self.remaining = streams_broken
        self.answered: set[str] = set()

    async def SubmitImages(  # noqa: N802
        self, request_iterator: AsyncIterator[pb.SubmitImagesRequest], context: Any
    ) -> AsyncIterator[pb.SubmitImagesResponse]:
        answers = 0
        async for request in request_iterator:
            if self.remaining and answers >= self.remaining:
                self.remaining -= 1
                await context.abort(grpc.StatusCode.UNAVAILABLE, "leaving")
            answers += 1
            self.answered.add(request.image.request_id)
            accepted = pb.SubmitImageResponse(request_id=request.image.request_id)
            result = pb.SubmitImagesResult(item_id=request.item_id, accepted=accepted)
            yield pb.SubmitImagesResponse(results=[result])


async def test_no_item_is_lost_with_an_aborted_stream() -> None:
    """Two senders share the items: an item taken by an aborted stream must be sent again by either."""
    items = Items(TOTAL, TOTAL, 1, ("http://127.0.0.1:1",))
    ledger = Ledger(TOTAL)
    scheduler = Scheduler(ledger, TOTAL, window=16)
    router = EventRouter(items, ledger, scheduler, Recorder((ACKNOWLEDGE, TERMINAL)))
    router.on_acknowledged = lambda number: router.ended(items.request_id(number), 2, "COMPLETED")
    # Only SubmitImages is called.
    servicer = BreakingServer(streams_broken=6)  # type: ignore[abstract]
    async with serve(servicer) as address, grpc.aio.insecure_channel(address) as channel:
        stub = pb_grpc.ImageServiceStub(channel)
        senders = [StreamSender(stub, scheduler, router) for _ in range(2)]
        async with asyncio.TaskGroup() as group:
            group.create_task(scheduler.feed(None))
            for sender in senders:
                group.create_task(sender.run())
    assert servicer.remaining == 0
    assert (ledger.acknowledged, ledger.acknowledged_twice) == (TOTAL, [])
    assert len(servicer.answered) == TOTAL
