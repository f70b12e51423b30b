"""When a stream's results leave: one by one while they come so, together while many are under way."""

import asyncio
from collections.abc import Sequence
from typing import Any, cast

import grpc

from core.model.request import ImageRequest
from harness.grpc_client import submit_request
from harness.item_stream import item
from harness.virtual_time import run_virtually
from imageservice.v1 import image_service_pb2 as pb
from server.rpc_middleware import Calls
from server.submit.admission import SubmitAdmission
from server.submit.stream import SubmitStreams


class Client:
    """Sends all its items at once. Writes down when each message came, in seconds, and how many results it held."""

    def __init__(self, count: int) -> None:
        self.items = [item(str(number), submit_request()) for number in range(count)]
        self.messages: list[tuple[float, int]] = []

    async def read(self) -> object:
        await asyncio.sleep(0)
        return self.items.pop(0) if self.items else grpc.aio.EOF

    async def write(self, message: pb.SubmitImagesResponse) -> None:
        now = round(asyncio.get_running_loop().time(), 3)
        self.messages.append((now, len(message.results)))


class Settled:
    """Accepts each item at a moment of its own."""

    crowded = False

    def __init__(self, moments: Sequence[float]) -> None:
        self.moments = list(moments)

    def begin(self, offered: ImageRequest) -> asyncio.Future[ImageRequest]:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[ImageRequest] = loop.create_future()
        loop.call_at(self.moments.pop(0), answer.set_result, offered)
        return answer


async def messages(moments: Sequence[float]) -> list[tuple[float, int]]:
    """What a client gets whose items are settled at these moments."""
    client = Client(len(moments))
    submissions = cast("SubmitAdmission", cast("Any", Settled(moments)))
    streams = SubmitStreams(submissions, Calls().failure, max_open=1_000)
    await streams.serve(cast("Any", client))
    return client.messages


def test_results_that_come_one_by_one_never_wait() -> None:
    """Nor does the first message that is shared."""
    assert run_virtually(messages([0.1, 0.2, 0.3, 0.3])) == [(0.1, 1), (0.2, 1), (0.3, 2)]


def test_after_a_shared_message_the_next_one_waits_for_company() -> None:
    """It leaves when it holds a quarter of what is unanswered, here of sixteen."""
    moments = [0.1, 0.1, 0.2, 0.201, 0.202, 0.203, *[1.0] * 12]
    assert run_virtually(messages(moments))[:2] == [(0.1, 2), (0.203, 4)]


def test_company_that_does_not_come_is_not_waited_for() -> None:
    """A few milliseconds, and what is there leaves; alone, so that the next one does not wait again."""
    moments = [0.1, 0.1, 0.2, 0.3, *[1.0] * 12]
    assert run_virtually(messages(moments))[:3] == [(0.1, 2), (0.205, 1), (0.3, 1)]


def test_what_is_left_of_a_small_number_does_not_wait() -> None:
    """A client that keeps few under way is never held up for the sake of full messages."""
    moments = [0.1, 0.1, 0.2, 0.2, 0.3]
    assert run_virtually(messages(moments)) == [(0.1, 2), (0.2, 2), (0.3, 1)]
