"""The number of AWS calls per completed image, from submit to delete."""

import asyncio
from collections.abc import Callable

from harness.aws import RecordingAws
from harness.origin import origin
from harness.processes import Process
from harness.system import System, system
from imageservice.v1 import image_service_pb2 as pb
from loadtest.bench.system.metrics_page import MetricsPage
from loadtest.bench.system.stages import image_urls

IMAGES = 300
MOST_CALLS = 1.8
"""Full batches make 1.52: one PutObject, 3/25 for three writes, 4/10 for send, receive, notify and delete."""
LINGER_S = "1"
"""The longest that the setting allows: batches fill on a slow machine too."""


async def test_a_completed_image_takes_at_most_two_aws_calls(embedded_aws: RecordingAws) -> None:
    """All images wait in the queue before the consumer starts, so that batches can fill."""
    async with origin() as images, system(embedded_aws) as running:
        settings, page = _metrics(running)
        await running.start_server(**settings)
        await _submit(running, image_urls(images.base, IMAGES))
        calls = await page.aws_calls()
        settings, page = _metrics(running)
        consumer = await running.start_consumer(**settings)
        await page.until_ready(_alive(consumer))
        await page.until_finished(IMAGES, _alive(consumer))
        calls += await page.aws_calls()
    assert calls["s3:PutObject"] == IMAGES, "an image was stored twice, or never"
    assert calls.total() / IMAGES <= MOST_CALLS, calls


async def _submit(running: System, urls: list[str]) -> None:
    async with running.stub() as stub:
        requests = (pb.SubmitImageRequest(url=url, customer_id="acme") for url in urls)
        await asyncio.gather(*(stub.SubmitImage(request, timeout=60) for request in requests))


def _metrics(running: System) -> tuple[dict[str, str], MetricsPage]:
    page = {"METRICS_HOST": "127.0.0.1", "METRICS_PORT": str(running.port())}
    return {**page, "BATCH_LINGER_S": LINGER_S}, MetricsPage(page)


def _alive(process: Process) -> Callable[[], None]:
    def check() -> None:
        assert process.returncode is None

    return check
