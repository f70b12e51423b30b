"""The queue of each message: interactive within the customer's rate, bulk beyond it or because the caller asks."""

import uuid
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from harness.aws import RecordingAws
from harness.command import imageservice
from harness.grpc_client import submit_request
from harness.item_stream import ItemStream, item, names
from harness.stores import stores_of
from harness.system import System, system
from imageservice.v1 import image_service_pb2 as pb

HOURLY = {"INTERACTIVE_RATE": str(1 / 3_600)}
"""So slow that no permit is refilled during a test. The burst is the default."""
BURST = 100


@pytest_asyncio.fixture
async def running(embedded_aws: RecordingAws) -> AsyncIterator[System]:
    async with system(embedded_aws) as started:
        yield started


async def depths(running: System) -> tuple[int, int]:
    """Return the numbers of interactive and of bulk messages."""
    async with stores_of(running) as stores:
        return (
            await stores.depth(running.stack.queue_url),
            await stores.depth(running.stack.bulk_queue_url),
        )


def request(
    customer: str, lane: "pb.Lane.ValueType" = pb.LANE_UNSPECIFIED
) -> pb.SubmitImageRequest:
    message = submit_request(str(uuid.uuid4()), customer=customer)
    message.lane = lane
    return message


async def streamed(running: System, requests: list[pb.SubmitImageRequest]) -> int:
    """Submit over one stream. Return the number of accepted items."""
    async with running.stub() as stub:
        stream = ItemStream(stub)
        stream.send_all(item(str(number), each) for number, each in enumerate(requests))
        return len(names(await stream.results(), "accepted"))


async def test_a_stream_beyond_the_rate_waits_in_bulk(running: System) -> None:
    """The burst of an import is interactive, and so is the first request of another customer."""
    await running.start_server(**HOURLY)
    assert await streamed(running, [request("importer") for _ in range(1_000)]) == 1_000
    assert await depths(running) == (BURST, 1_000 - BURST)
    await running.submit("https://a.example/1", customer="other")
    await running.submit("https://a.example/1", customer="importer")
    assert await depths(running) == (BURST + 1, 1_000 - BURST + 1)


async def test_a_caller_that_asks_for_bulk_keeps_its_rate(running: System) -> None:
    """Its interactive requests come first, whatever it imports. INTERACTIVE does not raise the rate."""
    await running.start_server(**HOURLY, INTERACTIVE_BURST="2")
    requests = [request("acme", pb.LANE_BULK) for _ in range(50)]
    assert await streamed(running, requests) == 50
    await running.submit("https://a.example/1", lane=pb.LANE_BULK)
    assert await depths(running) == (0, 51)
    for _ in range(4):
        await running.submit("https://a.example/1", lane=pb.LANE_INTERACTIVE)
    assert await depths(running) == (2, 53)


async def test_a_repeat_with_another_lane_is_the_same_request(running: System) -> None:
    """The lane is no content."""
    await running.start_server(**HOURLY)
    first = await running.submit("https://a.example/1", lane=pb.LANE_BULK)
    assert await running.submit("https://a.example/1", request_id=first) == first


@pytest.mark.parametrize(("options", "interactive"), [([], 1), (["--bulk"], 0)])
async def test_the_command_submits_to_bulk(
    running: System, options: list[str], interactive: int
) -> None:
    """`imageservice submit --bulk`, and without it."""
    await running.start_server()
    done = await imageservice(
        "submit", "--address", running.address, *options, "https://a.example/1"
    )
    assert done.code == 0, done.err
    assert await depths(running) == (interactive, 1 - interactive)


async def test_with_one_lane_everything_is_interactive(running: System) -> None:
    """An installation without the bulk queue, as before."""
    await running.start_server(**HOURLY, BULK_QUEUE_URL="")
    assert await streamed(running, [request("importer") for _ in range(300)]) == 300
    await running.submit("https://a.example/1", lane=pb.LANE_BULK)
    assert await depths(running) == (301, 0)
