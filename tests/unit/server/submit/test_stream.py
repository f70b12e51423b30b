"""When results of a stream are sent: one by one on a quiet stream, in batches on a busy one."""

import asyncio
from collections.abc import Sequence
from typing import Any, cast

import grpc

from core.model.request import ImageRequest
from harness.grpc_client import submit_request
from harness.item_stream import item
from harness.virtual_time import run_virtually
from imageservice.v1 import image_service_pb2 as pb
from server.rpc_middleware import RpcMiddleware
from server.submit.admission import SubmitAdmission
from server.submit.stream import SubmitStreams


class Client:
    """Sends all items at once. Records for each message its time in seconds and its number of results."""

    def __init__(self, count: int) -> None:
        self.items = [item(str(number), submit_request()) for number in range(count)]
        self.messages: list[tuple[float, int]] = []

    async def read(self) -> object:
        await asyncio.sleep(0)
        return self.items.pop(0) if self.items else grpc.aio.EOF

    async def write(self, message: pb.SubmitImagesResponse) -> None:
        now = round(asyncio.get_running_loop().time(), 3)
        self.messages.append((now, len(message.results)))


class ScriptedAdmission:
    """Accepts each item at a given time."""

    def __init__(self, times: Sequence[float]) -> None:
        self.times = list(times)

    def must_wait(self, _customer_id: str) -> bool:
        return False

    def submit_streamed(self, request: ImageRequest, *, bulk: bool) -> asyncio.Future[ImageRequest]:
        assert not bulk
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[ImageRequest] = loop.create_future()
        loop.call_at(self.times.pop(0), answer.set_result, request)
        return answer


async def messages(times: Sequence[float]) -> list[tuple[float, int]]:
    """Return the messages for items that are accepted at these times."""
    client = Client(len(times))
    admission = cast("SubmitAdmission", cast("Any", ScriptedAdmission(times)))
    streams = SubmitStreams(admission, RpcMiddleware().report, presets={}, max_open=1_000)
    await streams.serve(cast("Any", client))
    return client.messages


def test_single_results_are_sent_at_once() -> None:
    """So is the first batch."""
    assert run_virtually(messages([0.1, 0.2, 0.3, 0.3])) == [(0.1, 1), (0.2, 1), (0.3, 2)]


def test_after_a_batch_the_next_message_waits_for_more_results() -> None:
    """It is sent with a quarter of the unanswered items, here of sixteen."""
    times = [0.1, 0.1, 0.2, 0.201, 0.202, 0.203, *[1.0] * 12]
    assert run_virtually(messages(times))[:2] == [(0.1, 2), (0.203, 4)]


def test_the_wait_for_more_results_is_bounded() -> None:
    """After a few milliseconds the ready result is sent; it is not a batch, so the next one does not wait."""
    times = [0.1, 0.1, 0.2, 0.3, *[1.0] * 12]
    assert run_virtually(messages(times))[:3] == [(0.1, 2), (0.205, 1), (0.3, 1)]


def test_a_client_with_few_items_in_flight_never_waits() -> None:
    """A quarter of a few items is at most one."""
    times = [0.1, 0.1, 0.2, 0.2, 0.3]
    assert run_virtually(messages(times)) == [(0.1, 2), (0.2, 2), (0.3, 1)]
