"""The scenario that Prometheus scrapes: every success and failure that a panel or an alert shows."""

import asyncio
import uuid
from collections.abc import Iterator

import grpc
from aiohttp import web

from cluster.dashboards import reads
from cluster.dashboards.prometheus import Prometheus
from harness.aws_proxy import AwsProxy, Forward, Hook, ProxiedCall, cut, pass_on
from harness.grpc_client import expect_refusal
from harness.item_stream import item
from harness.origin import Origin
from harness.system import System
from imageservice.v1 import image_service_pb2 as pb

IMAGES = 500
"""Enough that calls of idle processes, such as an empty long poll, matter little."""
CONSUMER = {"TOTAL_TIMEOUT_S": "1", "CONNECT_TIMEOUT_S": "1"}
"""Timeouts for origins, scaled down."""

_ENDED = "sum(consumer_ended_requests_total)"
_THROTTLED = (
    '{"__type": "com.amazonaws.dynamodb.v20120810#ThrottlingException", "message": "slower"}'
)
_ITEM_THROTTLED = '{"Responses": [{"Error": {"Code": "ThrottlingError", "Message": "slower"}}]}'


async def play(running: System, images: Origin, proxy: AwsProxy, prometheus: Prometheus) -> None:
    """Run the whole scenario. Returns when Prometheus has scraped its end."""
    # Counters start at 0. A rate needs this scrape too.
    await prometheus.until('count(up{job=~"imageservice-.+"} == 1) == 4')
    await running.wait_terminal(await _submit_in_bulk(running, images))
    await reads.everything(running, prometheus)
    await _callers_mistakes(running, images)
    ids = [await running.submit(url) for url in _bad_origins(images)]
    await running.wait_terminal(ids)
    await _throttling(running, images, proxy)
    await _outage(running, images, proxy, prometheus)
    await reads.engine_outage(running, images, prometheus)
    await prometheus.until(f"{_ENDED} >= {IMAGES + len(ids) + 4}")


async def _submit_in_bulk(running: System, images: Origin) -> list[str]:
    ids = [str(uuid.uuid4()) for _ in range(IMAGES)]
    async with running.stub() as stub:

        def items() -> Iterator[pb.SubmitImagesRequest]:
            for number, request_id in enumerate(ids, start=1):
                image = pb.SubmitImageRequest(
                    url=images.image_url(number), customer_id="acme", request_id=request_id
                )
                yield item(str(number), image)

        async for _ in stub.SubmitImages(items()):
            pass
    return ids


async def _callers_mistakes(running: System, images: Origin) -> None:
    taken = await running.submit(images.image_url(1))
    async with running.stub() as stub:
        bad = pb.SubmitImageRequest(url="ftp://a.example/", customer_id="acme")
        assert (
            await expect_refusal(stub.SubmitImage(bad))
        ).code is grpc.StatusCode.INVALID_ARGUMENT
        again = pb.SubmitImageRequest(url=images.image_url(2), customer_id="acme", request_id=taken)
        assert (
            await expect_refusal(stub.SubmitImage(again))
        ).code is grpc.StatusCode.ALREADY_EXISTS


def _bad_origins(images: Origin) -> list[str]:
    """Return URLs. Each ends FAILED in another way, except the last, which asks for a delay."""

    async def never(_request: web.Request) -> web.Response:
        await asyncio.Event().wait()
        raise AssertionError

    async def broken(_request: web.Request) -> web.Response:
        return web.Response(status=500)

    async def busy(_request: web.Request) -> web.Response:
        images.serve_body("/busy.png", b"", "image/png")
        return web.Response(status=429, headers={"Retry-After": "3"})

    return [
        f"{images.base}/nothing-there.png",
        images.serve_body("/page.png", b"<html>no picture</html>", "text/html"),
        "http://10.0.0.1/blocked.png",
        images.serve("/never.png", never),
        images.serve("/broken.png", broken),
        images.serve("/busy.png", busy),
    ]


async def _throttling(running: System, images: Origin, proxy: AwsProxy) -> None:
    """DynamoDB throttles a whole call, then one item of a call. Both are retried."""
    refusals = iter(
        [
            web.Response(status=400, text=_THROTTLED),
            web.Response(status=200, text=_ITEM_THROTTLED),
        ]
    )
    proxy.hook = _answer_writes(refusals)
    await running.submit(images.image_url(IMAGES + 1))
    proxy.hook = pass_on
    assert next(refusals, None) is None


def _answer_writes(answers: Iterator[web.Response]) -> Hook:
    async def hook(call: ProxiedCall, forward: Forward) -> web.Response:
        if call.operation == "BatchExecuteStatement" and (answer := next(answers, None)):
            return answer
        return await forward()

    return hook


async def _outage(running: System, images: Origin, proxy: AwsProxy, prometheus: Prometheus) -> None:
    """AWS is down until the consumer, the exporter and a caller have noticed."""
    held = await running.submit(images.hold("/held.png"))
    await prometheus.until("consumer_in_flight_messages > 0")
    proxy.hook = cut
    images.release()
    async with running.stub() as stub:
        request = pb.SubmitImageRequest(url=images.image_url(0), customer_id="acme")
        assert (await expect_refusal(stub.SubmitImage(request))).code is grpc.StatusCode.UNAVAILABLE
    await prometheus.until("consumer_outage == 1")
    await prometheus.until("sum(queue_read_failures_total) > 0")
    proxy.hook = pass_on
    await running.wait_terminal([held])
    await prometheus.until('queue_messages{queue="requests", state="visible"}')
