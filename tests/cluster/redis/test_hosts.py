"""Consumers with Redis share the limits of a host."""

import asyncio
from pathlib import Path

from aiohttp import web

from harness.aws import RecordingAws
from harness.origin import numbered_png, origin
from harness.redis_server import redis_server
from harness.system import system
from imageservice.v1 import image_service_pb2 as pb

IMAGES = 60
LIMIT = 4


async def test_two_consumers_together_respect_the_limit_of_a_host(
    embedded_aws: RecordingAws, tmp_path: Path
) -> None:
    """Also while Redis restarts and has lost the shares, the sum is twice the limit at most."""
    in_flight = most = 0
    async with (
        redis_server(tmp_path) as redis,
        origin() as images,
        system(embedded_aws) as running,
    ):

        async def slowly(request: web.Request) -> web.Response:
            nonlocal in_flight, most
            in_flight += 1
            most = max(most, in_flight)
            await asyncio.sleep(0.3)
            in_flight -= 1
            return web.Response(body=numbered_png(int(request.path.rpartition("/")[2])))

        await running.start_server()
        for _ in range(2):
            await running.start_consumer(REDIS_URL=redis.url, PER_HOST_LIMIT=str(LIMIT))
        urls = [images.serve(f"/slow/{number}", slowly) for number in range(IMAGES)]
        ids = await asyncio.gather(*map(running.submit, urls))
        ended = await running.wait_terminal(ids)
        assert {each.state for each in ended.values()} == {pb.STATE_COMPLETED}
        assert most <= LIMIT
        await redis.kill()
        await redis.start()
        most = 0
        ids = [await running.submit(url + "?again=1") for url in urls]
        ended = await running.wait_terminal(ids)
        assert {each.state for each in ended.values()} == {pb.STATE_COMPLETED}
        assert most <= 2 * LIMIT
