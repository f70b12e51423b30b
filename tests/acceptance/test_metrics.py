"""The metrics of the processes after work with a known result."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from aiohttp import web

from consumer.metrics import customer_bucket
from harness.aws import RecordingAws
from harness.aws_proxy import AwsProxy, Forward, ProxiedCall, aws_proxy, cut
from harness.metrics import MetricsPort, Scrape
from harness.origin import Origin, origin
from harness.system import System, system
from imageservice.v1 import image_service_pb2 as pb


async def broken(_request: web.Request) -> web.Response:
    return web.Response(status=500)


async def submit_all(running: System, images: Origin) -> list[str]:
    urls = [images.image_url(1), images.image_url(2), images.base + "/none"]
    return [await running.submit(url) for url in [*urls, images.serve("/broken", broken)]]


def settled(page: Scrape) -> bool:
    """Return whether the consumer holds nothing, and the event loop has been measured."""
    return page.value("consumer_in_flight_messages") == 0 and bool(
        page.value("event_loop_lag_seconds_count")
    )


async def test_each_outcome_is_counted_once(embedded_aws: RecordingAws) -> None:
    """Two requests complete, one has no image, and the origin of one fails three times."""
    server, consumer = MetricsPort(), MetricsPort()
    async with origin() as images, system(embedded_aws, forked=False) as running:
        await running.start_server(**server.settings)
        ids = await submit_all(running, images)
        await running.start_consumer(**consumer.settings)
        await running.wait_terminal(ids)
        seen = await consumer.until(settled)
        server_page = await server.scrape()
    assert seen.value("consumer_received_messages_total", kind="first") == 4
    assert seen.value("consumer_ended_requests_total", state="COMPLETED", failure_code="") == 2
    bucket = {"customer_bucket": customer_bucket("acme")}
    for state in ("COMPLETED", "FAILED"):
        by_bucket = "consumer_customer_bucket_ended_requests_total"
        assert (
            seen.value(by_bucket, state=state, **bucket) == seen.value(by_bucket, state=state) == 2
        )
    assert seen.value("consumer_ended_requests_total", failure_code="NOT_FOUND") == 1
    assert seen.value("consumer_ended_requests_total", failure_code="ORIGIN_ERROR") == 1
    assert seen.value("consumer_fetch_failures_total", failure_code="NOT_FOUND") == 1
    assert seen.value("consumer_fetch_failures_total", failure_code="ORIGIN_ERROR") == 3
    assert seen.value("consumer_process_duration_seconds_count", outcome="finished") == 4
    assert seen.value("consumer_request_seconds_count", state="COMPLETED") == 2
    assert seen.value("consumer_request_seconds_count", state="FAILED") == 2
    total, processing = (
        seen.value("consumer_request_seconds_sum") or 0,
        seen.value("consumer_process_duration_seconds_sum") or 0,
    )
    assert total > processing > 0, "they waited for the consumer to start, and were then worked on"
    assert seen.value("consumer_oldest_message_age_seconds", lane="interactive") == 0
    assert seen.value("consumer_concurrency") == 64
    assert seen.value("aws_calls_total", operation="s3:PutObject", outcome="ok") == 2
    call = {"grpc_type": "unary", "grpc_service": "imageservice.v1.ImageService"}
    submit = {**call, "grpc_method": "SubmitImage"}
    assert server_page.value("grpc_server_handled_total", **submit, grpc_code="OK") == 4
    assert server_page.value("pending_submits") == 0
    assert server_page.value("event_loop_lag_seconds_count")


async def test_the_wait_of_a_customer_is_measured_by_lane(embedded_aws: RecordingAws) -> None:
    """The objective on freshness counts the requests that end in the interactive lane only."""
    consumer = MetricsPort()
    async with origin() as images, system(embedded_aws, forked=False) as running:
        await running.start_server()
        ids = [
            await running.submit(images.image_url(1)),
            await running.submit(images.image_url(2), lane=pb.LANE_BULK),
            await running.submit(images.base + "/none", lane=pb.LANE_BULK),
        ]
        await running.start_consumer(**consumer.settings)
        await running.wait_terminal(ids)
        seen = await consumer.until(settled)
    ended = {
        (lane, state): seen.value("consumer_request_seconds_count", lane=lane, state=state)
        for lane in ("interactive", "bulk")
        for state in ("COMPLETED", "FAILED")
    }
    assert ended == {
        ("interactive", "COMPLETED"): 1,
        ("interactive", "FAILED"): 0,
        ("bulk", "COMPLETED"): 1,
        ("bulk", "FAILED"): 1,
    }


async def test_a_message_in_progress_has_an_age(embedded_aws: RecordingAws) -> None:
    """While an origin does not respond, the message that waits for it is the oldest one."""
    consumer = MetricsPort()
    async with origin() as images, system(embedded_aws, forked=False) as running:
        await running.start_server()
        request_id = await running.submit(images.hold("/held"))
        await running.start_consumer(**consumer.settings)
        await consumer.until(
            lambda page: (page.value("consumer_oldest_message_age_seconds") or 0) > 1
        )
        images.release()
        await running.wait_terminal([request_id])


async def test_a_throttled_try_is_counted_and_the_call_succeeds(
    embedded_aws: RecordingAws,
) -> None:
    """SQS throttles one SendMessageBatch once: one throttle, and one call with the outcome ok."""
    server = MetricsPort()
    async with (
        aws_proxy(embedded_aws.endpoint) as proxy,
        system(embedded_aws, endpoint=proxy.endpoint, forked=False) as running,
    ):
        await running.start_server(**server.settings)
        proxy.hook = throttle_once(proxy, "SendMessageBatch")
        await running.submit("http://127.0.0.1/picture.png")
        page = await server.scrape()
    assert page.value("aws_throttles_total", operation="sqs:SendMessageBatch") == 1
    assert page.value("aws_calls_total", operation="sqs:SendMessageBatch", outcome="ok") == 1


def throttle_once(
    proxy: AwsProxy, operation: str
) -> Callable[[ProxiedCall, Forward], Awaitable[web.Response]]:
    async def hook(call: ProxiedCall, forward: Forward) -> web.Response:
        if call.operation != operation:
            return await forward()
        proxy.hook = forward_all
        return web.json_response({"__type": "ThrottlingException", "message": "slowly"}, status=400)

    return hook


async def forward_all(_call: ProxiedCall, forward: Forward) -> web.Response:
    return await forward()


async def omit_attributes(_call: ProxiedCall, _forward: Forward) -> web.Response:
    """Answer without the attributes that were requested."""
    return web.json_response({"Attributes": {"ApproximateNumberOfMessages": "1"}})


def failures_beyond(seen: Scrape) -> Callable[[Scrape], bool]:
    """Return a condition: ten more reads than in `seen` have failed, and no queue has a value."""
    before = seen.value("queue_read_failures_total") or 0
    return lambda page: (
        (page.value("queue_read_failures_total") or 0) > before + 9
        and page.value("queue_messages") is None
    )


def all_queues_were_read(page: Scrape) -> bool:
    queues = ("requests", "bulk", "failed_requests", "dlq", "search", "search_dlq")
    return all(
        page.value("queue_messages", queue=queue, state="delayed") is not None for queue in queues
    )


async def test_the_exporter_reports_each_queue_and_no_value_after_an_error(
    embedded_aws: RecordingAws,
) -> None:
    """Waiting messages are counted without a consumer. While SQS is down, the series are absent, not 0."""
    exporter = MetricsPort()
    async with (
        aws_proxy(embedded_aws.endpoint) as proxy,
        system(embedded_aws, endpoint=proxy.endpoint, forked=False) as running,
    ):
        await running.start_server()
        for number in range(5):
            lane = pb.LANE_BULK if number > 2 else pb.LANE_UNSPECIFIED
            await running.submit(f"http://127.0.0.1/{number}.png", lane=lane)
        await running.start_exporter(**exporter.settings, READ_INTERVAL_S="0.1")
        page = await exporter.until(all_queues_were_read)
        assert page.value("queue_messages", queue="requests", state="visible") == 3
        assert page.value("queue_messages", queue="bulk", state="visible") == 2
        for queue in ("failed_requests", "dlq", "search", "search_dlq"):
            for state in ("visible", "in_flight", "delayed"):
                assert page.value("queue_messages", queue=queue, state=state) == 0
        proxy.hook = cut
        outage = await exporter.until(lambda page: page.value("queue_messages") is None)
        assert outage.value("queue_read_failures_total", queue="requests")
        proxy.hook = omit_attributes
        await exporter.until(failures_beyond(outage))
        proxy.hook = forward_all
        await exporter.until(lambda page: page.value("queue_messages", queue="requests") == 3)


async def test_a_consumer_that_starts_in_an_outage_waits(
    embedded_aws: RecordingAws,
) -> None:
    """It neither ends nor serves metrics. When AWS is reachable again, it works."""
    consumer = MetricsPort()
    async with (
        origin() as images,
        aws_proxy(embedded_aws.endpoint) as proxy,
        system(embedded_aws, endpoint=proxy.endpoint, forked=False) as running,
    ):
        await running.start_server()
        request_id = await running.submit(images.image_url(1))
        called = asyncio.Event()

        async def attributes_fail(call: ProxiedCall, forward: Forward) -> web.Response:
            if call.operation == "GetQueueAttributes":
                called.set()
                return await cut(call, forward)
            return await forward()

        proxy.hook = attributes_fail
        process = await running.start_consumer(**consumer.settings)
        await called.wait()
        with pytest.raises(OSError, match="Cannot connect"):
            await consumer.scrape()
        proxy.hook = forward_all
        await running.wait_terminal([request_id])
        assert process.returncode is None


async def test_a_process_without_aws_is_alive(embedded_aws: RecordingAws) -> None:
    """/livez depends on the event loop, not on AWS: a restart would not end an outage."""
    server, consumer = MetricsPort(), MetricsPort()
    async with (
        aws_proxy(embedded_aws.endpoint) as proxy,
        system(embedded_aws, endpoint=proxy.endpoint, forked=False) as running,
    ):
        await running.start_server(**server.settings)
        await running.start_consumer(**consumer.settings)
        await consumer.until(lambda page: bool(page.value("event_loop_lag_seconds_count")))
        proxy.hook = cut
        await consumer.until(lambda page: page.value("consumer_outage") == 1)
        assert await server.get("/livez") == (200, "alive\n")
        assert await consumer.get("/livez") == (200, "alive\n")
