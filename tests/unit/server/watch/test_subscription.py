"""What one watch stream has still to send."""

import asyncio
from dataclasses import replace

import pytest

from core.model.request import ImageRequest, State, new_request
from imageservice.v1 import image_service_pb2 as pb
from server.errors import ServerDraining
from server.status.reader import Status
from server.watch.subscription import Subscription


def status(request_id: str, state: State, revision: int) -> Status:
    new: ImageRequest = new_request(
        request_id=request_id, customer_id="acme", url="https://a.example/", labels={}, now=1
    )
    return Status(replace(new, state=state, revision=revision), pb.ImageRequest())


async def states(subscription: Subscription) -> list[tuple[str, State, int]]:
    got = []
    while (each := await subscription.next_status()) is not None:
        got.append((each.request.request_id, each.request.state, each.request.revision))
    return got


async def test_a_slow_reader_gets_the_latest_state_alone() -> None:
    """States that were overtaken before they were sent are skipped, so nothing piles up."""
    subscription = Subscription(["a"])
    subscription.push(status("a", State.PENDING, 1))
    subscription.push(status("a", State.FAILED, 2))
    subscription.push(status("a", State.PENDING, 3))
    subscription.push(status("a", State.COMPLETED, 4))
    assert await states(subscription) == [("a", State.COMPLETED, 4)]


async def test_a_revision_that_has_not_risen_is_dropped() -> None:
    """Eventually consistent reads may come out of order; a stream never goes back."""
    subscription = Subscription(["a", "b"])
    subscription.push(status("a", State.FAILED, 2))
    subscription.push(status("b", State.FAILED, 2))
    first = await subscription.next_status()
    subscription.push(status("a", State.PENDING, 1))
    subscription.push(status("a", State.FAILED, 2))
    assert first is not None
    assert await states(subscription) == [("b", State.FAILED, 2)]


async def test_a_request_that_is_reopened_keeps_the_stream_open() -> None:
    """The stream ends when the last state sent of every id is terminal, not when each once was."""
    subscription = Subscription(["a", "b"])
    subscription.push(status("a", State.FAILED, 2))
    await subscription.next_status()
    subscription.push(status("a", State.PENDING, 3))
    await subscription.next_status()
    subscription.push(status("b", State.COMPLETED, 2))
    await subscription.next_status()
    waiting = asyncio.ensure_future(subscription.next_status())
    await asyncio.sleep(0)
    assert not waiting.done()
    subscription.push(status("a", State.COMPLETED, 4))
    last = await waiting
    assert last is not None
    assert await subscription.next_status() is None


async def test_an_end_comes_after_what_is_there() -> None:
    """A drain ends the stream, but not before the news that it already has."""
    subscription = Subscription(["a"])
    subscription.push(status("a", State.PENDING, 1))
    subscription.close_with(ServerDraining("draining"))
    assert await subscription.next_status() is not None
    with pytest.raises(ServerDraining):
        await subscription.next_status()
