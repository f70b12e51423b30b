"""The whole system with Redis: real processes, and polls so rare that only pushes can explain what is heard."""

from pathlib import Path

import pytest

from harness.aws import RecordingAws
from harness.metrics import MetricsPort
from harness.origin import origin
from harness.redis_server import redis_server
from harness.system import system
from imageservice.v1 import image_service_pb2 as pb

MINUTES = {"WATCH_SHORTEST_INTERVAL_S": "300", "WATCH_LONGEST_INTERVAL_S": "600"}
PUSHED_S = 30
IMAGES = 10


@pytest.mark.parametrize("workers", [1, 2])
async def test_a_consumer_pushes_to_every_server_process(
    embedded_aws: RecordingAws, tmp_path: Path, workers: int
) -> None:
    """Both ends of a request, whichever worker its watch came to; and nobody reads a row of what is COMPLETED."""
    port = MetricsPort()
    async with (
        redis_server(tmp_path) as redis,
        origin() as images,
        system(embedded_aws) as running,
    ):
        channel = f"imageservice:{running.stack.requests_table}"
        await running.start_server(
            f"--workers={workers}", REDIS_URL=redis.url, **MINUTES, **port.settings
        )
        await running.start_consumer(REDIS_URL=redis.url)
        await redis.heard_by(channel, workers)
        missing = await running.submit(f"{images.base}/nothing-here")
        ids = [await running.submit(images.picture(number)) for number in range(IMAGES)]
        ended = await running.wait_terminal([*ids, missing], seconds=PUSHED_S)
        assert ended[missing].state == pb.STATE_FAILED
        assert {ended[each].state for each in ids} == {pb.STATE_COMPLETED}
        page = await port.scrape()
        assert page.value("redis_up", use="news") == 1
        assert page.value("redis_up", use="calls") == 1
        assert page.value("status_reads_total", source="redis") == IMAGES
