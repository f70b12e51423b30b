"""The operations of AWS that an image needs, from submit to delete, share their calls."""

import asyncio
from collections.abc import Callable

from core.dynamodb.tables import MAX_KEYS
from harness.aws import RecordingAws
from harness.origin import origin
from harness.processes import Process
from harness.system import System, system
from imageservice.v1 import image_service_pb2 as pb
from loadtest.bench.system.metrics_page import MetricsPage
from loadtest.bench.system.stages import image_urls

IMAGES = 300
ITEMS = {
    "dynamodb:BatchExecuteStatement": 3 * IMAGES,
    "sns:PublishBatch": IMAGES,
    "sqs:DeleteMessageBatch": IMAGES,
    "sqs:ReceiveMessage": IMAGES,
    "sqs:SendMessageBatch": IMAGES,
}
"""Items of each operation that shares its calls: an image needs three writes, and one of each other operation."""
MOST_CALLS_PER_ITEM = 0.75
"""Without batches it is 1. Batches fill less on a slow machine: 0.46 was seen. The benchmark `calls` has the figure."""


async def test_images_share_their_aws_calls(embedded_aws: RecordingAws) -> None:
    """All images wait in the queue before the consumer starts, so that batches can fill.

    On a slow machine a message may move to bulk, because no slot became free, and then its row is read. A call may be
    repeated because its answer was late.
    """
    async with origin() as images, system(embedded_aws) as running:
        where, page = _metrics(running)
        await running.start_server(**where)
        await _submit(running, image_urls(images.base, IMAGES))
        calls = await page.aws_calls()
        where, page = _metrics(running)
        consumer = await running.start_consumer(**where)
        await page.until_ready(_alive(consumer))
        await page.until_finished(IMAGES, _alive(consumer))
        calls += await page.aws_calls()
        moved = await page.total("consumer_given_back_messages_total")
    assert calls.pop("s3:PutObject") == IMAGES, "an image was stored twice, or never"
    assert calls.pop("sqs:GetQueueAttributes") == 2, "one of each lane"
    assert calls.pop("dynamodb:BatchGetItem", 0) < moved + IMAGES / MAX_KEYS, "all rows were read"
    assert calls.keys() == ITEMS.keys()
    too_many = {name: n for name, n in calls.items() if n > MOST_CALLS_PER_ITEM * ITEMS[name]}
    assert not too_many, calls


async def _submit(running: System, urls: list[str]) -> None:
    async with running.stub() as stub:
        requests = (pb.SubmitImageRequest(url=url, customer_id="acme") for url in urls)
        await asyncio.gather(*(stub.SubmitImage(request, timeout=60) for request in requests))


def _metrics(running: System) -> tuple[dict[str, str], MetricsPage]:
    environment = {"METRICS_HOST": "127.0.0.1", "METRICS_PORT": str(running.port())}
    return environment, MetricsPage(environment)


def _alive(process: Process) -> Callable[[], None]:
    def check() -> None:
        assert process.returncode is None

    return check
