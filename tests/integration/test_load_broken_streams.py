"""The driver's bulk stream against a server that breaks streams off: each item is sent until it is answered."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest

from harness.scripted_service import serving
from imageservice.v1 import image_service_pb2 as pb
from imageservice.v1 import image_service_pb2_grpc as pb_grpc
from loadtest.million.desk import ACKNOWLEDGE, TERMINAL, Desk
from loadtest.million.items import Items
from loadtest.million.ledger import Ledger
from loadtest.million.submitting import StreamSender
from loadtest.million.work import Work
from loadtest.run_report.recorder import Recorder

pytestmark = pytest.mark.timeout(60)

TOTAL = 400


class BreakingServer(pb_grpc.ImageServiceServicer):
    """Answers a few items of each stream, then breaks it off; later ones are left to work."""

    def __init__(self, streams_broken: int) -> None:
        self.left = streams_broken
        self.answered: set[str] = set()

    async def SubmitImages(  # noqa: N802
        self, request_iterator: AsyncIterator[pb.SubmitImagesRequest], context: Any
    ) -> AsyncIterator[pb.SubmitImagesResponse]:
        answers = 0
        async for request in request_iterator:
            if self.left and answers >= self.left:
                self.left -= 1
                await context.abort(grpc.StatusCode.UNAVAILABLE, "leaving")
            answers += 1
            self.answered.add(request.image.request_id)
            accepted = pb.SubmitImageResponse(request_id=request.image.request_id)
            result = pb.SubmitImagesResult(item_id=request.item_id, accepted=accepted)
            yield pb.SubmitImagesResponse(results=[result])


async def test_no_item_is_stranded_with_a_stream_that_broke_off() -> None:
    """Two senders share the work: what one of them had taken must find its way to the other or back."""
    items = Items(TOTAL, TOTAL, 1, ("http://127.0.0.1:1",))
    ledger = Ledger(TOTAL)
    work = Work(ledger, TOTAL, window=16)
    desk = Desk(items, ledger, work, Recorder((ACKNOWLEDGE, TERMINAL)))
    desk.on_acknowledged = lambda number: desk.told(items.request_id(number), 2, "COMPLETED")
    # Only the stream is called.
    servicer = BreakingServer(streams_broken=6)  # type: ignore[abstract]
    async with serving(servicer) as address, grpc.aio.insecure_channel(address) as channel:
        stub = pb_grpc.ImageServiceStub(channel)
        senders = [StreamSender(stub, work, desk) for _ in range(2)]
        async with asyncio.TaskGroup() as group:
            group.create_task(work.feed(None))
            for sender in senders:
                group.create_task(sender.run())
    assert servicer.left == 0
    assert (ledger.acknowledged, ledger.acknowledged_twice) == (TOTAL, [])
    assert len(servicer.answered) == TOTAL
