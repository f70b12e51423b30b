"""The states that a watch stream has to send."""

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


async def test_a_slow_client_gets_only_the_latest_state() -> None:
    """States that are superseded before they are sent are skipped, so the stream needs no queue."""
    subscription = Subscription(["a"])
    subscription.push(status("a", State.PENDING, 1))
    subscription.push(status("a", State.FAILED, 2))
    subscription.push(status("a", State.PENDING, 3))
    subscription.push(status("a", State.COMPLETED, 4))
    assert await states(subscription) == [("a", State.COMPLETED, 4)]


async def test_an_old_revision_is_dropped() -> None:
    """Eventually consistent reads may arrive out of order; a stream never goes back to an earlier revision."""
    subscription = Subscription(["a", "b"])
    subscription.push(status("a", State.FAILED, 2))
    subscription.push(status("b", State.FAILED, 2))
    first = await subscription.next_status()
    subscription.push(status("a", State.PENDING, 1))
    subscription.push(status("a", State.FAILED, 2))
    assert first is not None
    assert await states(subscription) == [("b", State.FAILED, 2)]


async def test_a_request_that_is_reopened_keeps_the_stream_open() -> None:
    """The stream ends when the last sent state of every id is terminal, not when each was terminal once."""
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


async def test_a_stream_ends_after_its_unsent_states() -> None:
    """A drain ends the stream after the states that wait to be sent."""
    subscription = Subscription(["a"])
    subscription.push(status("a", State.PENDING, 1))
    subscription.close_with(ServerDraining("draining"))
    assert await subscription.next_status() is not None
    with pytest.raises(ServerDraining):
        await subscription.next_status()
