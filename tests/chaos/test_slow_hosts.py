"""Hosts that are slow, or down for a short time."""

import asyncio

from aiohttp import web

from harness.aws import RecordingAws
from harness.metrics import MetricsPort
from harness.origin import Origin, numbered_png, origin
from harness.stores import stores_of
from harness.system import System, system
from imageservice.v1 import image_service_pb2 as pb

SLOW = 24
SLOTS = 16
HOST_LIMIT = 8
"""A third of the slow host's images can be fetched at a time, and two thirds fit in the consumer."""


def slow_urls(images: Origin, released: asyncio.Event) -> list[str]:
    """Return URLs of one host that sends no response before `released` is set."""

    async def answer(request: web.Request) -> web.Response:
        await released.wait()
        return web.Response(body=numbered_png(int(request.path.rpartition("/")[2])))

    return [images.serve(f"/slow/{number}", answer) for number in range(SLOW)]


async def submit_all(running: System, urls: list[str], customer: str) -> list[str]:
    """Submit one URL after another, so that the queue has about the same order."""
    async with running.stub() as stub:
        accepted = [
            await stub.SubmitImage(pb.SubmitImageRequest(url=url, customer_id=customer), timeout=30)
            for url in urls
        ]
    return [each.request_id for each in accepted]


async def states(running: System, ids: list[str]) -> list[pb.State.ValueType]:
    async with running.stub() as stub:
        answers = [
            await stub.GetStatus(pb.GetStatusRequest(request_id=each), timeout=30) for each in ids
        ]
    return [each.request.state for each in answers]


async def test_a_slow_host_does_not_delay_other_hosts(embedded_aws: RecordingAws) -> None:
    """An image of another host completes while all images of the slow host wait. Few messages are requeued."""
    consumer = MetricsPort()
    released = asyncio.Event()
    async with origin() as images, system(embedded_aws) as running, stores_of(running) as stores:
        await running.start_server()
        slow = await submit_all(running, slow_urls(images, released), "slow")
        other_url = images.image_url(1).replace("127.0.0.1", "localhost")
        (other_host,) = await submit_all(running, [other_url], "other")
        await running.start_consumer(
            PER_HOST_LIMIT=str(HOST_LIMIT),
            CONCURRENCY=str(SLOTS),
            TOTAL_TIMEOUT_S="600",
            **consumer.settings,
        )
        ended = await running.wait_terminal([other_host])
        assert ended[other_host].state == pb.STATE_COMPLETED
        assert await states(running, slow) == [pb.STATE_PENDING] * SLOW
        released.set()
        await running.wait_terminal(slow)
        page = await consumer.scrape()
        # The host is at its limit, or the customer holds its share of the slots.
        requeued = (
            page.value("consumer_given_back_messages_total", reason=reason) or 0
            for reason in ("host_busy", "share")
        )
        assert sum(requeued)
        assert (page.value("consumer_given_back_messages_total") or 0) < 3 * SLOW
        await stores.prove_each_ended_once([*slow, other_host])


async def test_an_origin_that_restarts_fails_no_request(embedded_aws: RecordingAws) -> None:
    """Two attempts fail. The last one is delayed in the queue and succeeds."""
    consumer = MetricsPort()
    async with origin() as images, system(embedded_aws) as running, stores_of(running) as stores:

        async def restarting(_request: web.Request) -> web.Response:
            if images.hits["/restarted"] <= 2:
                return web.Response(status=503)
            return web.Response(body=numbered_png(1))

        await running.start_server()
        await running.start_consumer(RETRY_DELAY_S="1", **consumer.settings)
        request_id = await running.submit(images.serve("/restarted", restarting))
        ended = (await running.wait_terminal([request_id]))[request_id]
        assert ended.state == pb.STATE_COMPLETED
        page = await consumer.scrape()
        assert page.value("consumer_given_back_messages_total", reason="origin_error") == 1
        assert images.hits["/restarted"] == 3
        await stores.prove_each_ended_once([request_id])


async def test_the_pending_age_includes_the_time_before_a_requeue(
    embedded_aws: RecordingAws,
) -> None:
    """A requeued message is new: it is at least 2.5 s younger than its request, which was requeued twice for 3 s."""
    consumer = MetricsPort()
    fetched, released = asyncio.Event(), asyncio.Event()
    async with origin() as images, system(embedded_aws) as running:

        async def twice_later(_request: web.Request) -> web.Response:
            if images.hits["/later"] <= 2:
                return web.Response(status=429, headers={"Retry-After": "3"})
            fetched.set()
            await released.wait()
            return web.Response(body=numbered_png(1))

        await running.start_server()
        await running.start_consumer(**consumer.settings)
        request_id = await running.submit(images.serve("/later", twice_later))
        await fetched.wait()
        page = await consumer.scrape()
        pending = page.value("consumer_oldest_pending_age_seconds")
        sent = page.value("consumer_oldest_message_age_seconds")
        assert pending is not None
        assert sent is not None
        assert pending > sent + 2.5
        released.set()
        await running.wait_terminal([request_id])


async def test_refusals_spend_no_attempt(embedded_aws: RecordingAws) -> None:
    """A host refuses more requests than a request has attempts, and then serves all."""
    consumer = MetricsPort()
    async with origin() as images, system(embedded_aws) as running, stores_of(running) as stores:
        refusals = 0

        async def strict(request: web.Request) -> web.Response:
            nonlocal refusals
            refusals += 1
            if refusals <= 3:
                return web.Response(
                    status=429 if refusals % 2 else 503, headers={"Retry-After": "1"}
                )
            return web.Response(body=numbered_png(int(request.path.rpartition("/")[2])))

        await running.start_server()
        urls = [images.serve(f"/strict/{number}", strict) for number in range(2)]
        ids = [await running.submit(url) for url in urls]
        await running.start_consumer(MAX_ATTEMPTS="1", **consumer.settings)
        ended = await running.wait_terminal(ids)
        assert {each.state for each in ended.values()} == {pb.STATE_COMPLETED}
        page = await consumer.scrape()
        assert page.value("consumer_given_back_messages_total", reason="host_refused")
        await stores.prove_each_ended_once(ids)


async def test_a_host_that_stays_closed_fails_its_requests(embedded_aws: RecordingAws) -> None:
    """After the patience, with the code of the host's answer. Requests that were never sent end as well."""
    async with origin() as images, system(embedded_aws) as running:

        async def closed(_request: web.Request) -> web.Response:
            return web.Response(status=503, headers={"Retry-After": "2"})

        await running.start_server()
        urls = [images.serve(f"/closed/{number}", closed) for number in range(30)]
        ids = [await running.submit(url) for url in urls]
        await running.start_consumer(ORIGIN_PATIENCE_S="6")
        ended = await running.wait_terminal(ids)
        codes = {each.failure.code for each in ended.values()}
        assert codes == {pb.FAILURE_CODE_ORIGIN_ERROR}
        assert images.hits.total() < 2 * len(ids)


async def test_a_hung_host_gets_probes_and_its_requests_wait(embedded_aws: RecordingAws) -> None:
    """A few time-outs show that it hangs. When it answers again, all of its requests are served."""
    consumer = MetricsPort()
    async with origin() as images, system(embedded_aws) as running, stores_of(running) as stores:
        released = asyncio.Event()
        await running.start_server()
        ids = await submit_all(running, slow_urls(images, released), "slow")
        await running.start_consumer(
            PER_HOST_LIMIT=str(HOST_LIMIT),
            TOTAL_TIMEOUT_S="1",
            MAX_ATTEMPTS="10",
            **consumer.settings,
        )
        name = "consumer_given_back_messages_total"
        await consumer.until(lambda page: (page.value(name, reason="host_hung") or 0) >= SLOW)
        assert images.hits.total() <= 2 * HOST_LIMIT
        released.set()
        ended = await running.wait_terminal(ids)
        assert {each.state for each in ended.values()} == {pb.STATE_COMPLETED}
        await stores.prove_each_ended_once(ids)
