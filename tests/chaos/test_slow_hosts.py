"""Hosts that are slow, or away for a moment."""

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
"""Of the slow host's images, a third can be fetched at a time, and two thirds fit in the consumer."""


def slow_pictures(images: Origin, answers: asyncio.Event) -> list[str]:
    """URLs of one host that answers none of them before `answers` is set."""

    async def answer(request: web.Request) -> web.Response:
        await answers.wait()
        return web.Response(body=numbered_png(int(request.path.rpartition("/")[2])))

    return [images.serve(f"/slow/{number}", answer) for number in range(SLOW)]


async def submit_all(running: System, urls: list[str], customer: str) -> list[str]:
    """One after another, so that their order in the queue is about that of the list."""
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


async def test_a_slow_host_takes_nothing_from_the_others(embedded_aws: RecordingAws) -> None:
    """An image behind those of a slow host is done while all of those wait, and they are not requeued in vain."""
    consumer = MetricsPort()
    answers = asyncio.Event()
    async with origin() as images, system(embedded_aws) as running, stores_of(running) as stores:
        await running.start_server()
        slow = await submit_all(running, slow_pictures(images, answers), "slow")
        elsewhere = images.image_url(1).replace("127.0.0.1", "localhost")
        (neighbour,) = await submit_all(running, [elsewhere], "other")
        await running.start_consumer(
            PER_HOST_LIMIT=str(HOST_LIMIT),
            CONCURRENCY=str(SLOTS),
            TOTAL_TIMEOUT_S="600",
            **consumer.settings,
        )
        ended = await running.wait_terminal([neighbour])
        assert ended[neighbour].state == pb.STATE_COMPLETED
        assert await states(running, slow) == [pb.STATE_PENDING] * SLOW
        answers.set()
        await running.wait_terminal(slow)
        page = await consumer.scrape()
        assert page.value("consumer_given_back_messages_total", reason="host_busy")
        assert (page.value("consumer_given_back_messages_total") or 0) < 3 * SLOW
        await stores.prove_each_ended_once([*slow, neighbour])


async def test_an_origin_that_starts_again_fails_nobody(embedded_aws: RecordingAws) -> None:
    """Two attempts find it away; the last one comes later, by a message that waits in the queue."""
    consumer = MetricsPort()
    async with origin() as images, system(embedded_aws) as running, stores_of(running) as stores:

        async def away(_request: web.Request) -> web.Response:
            if images.hits["/restarted"] <= 2:
                return web.Response(status=503)
            return web.Response(body=numbered_png(1))

        await running.start_server()
        await running.start_consumer(RETRY_DELAY_S="1", **consumer.settings)
        request_id = await running.submit(images.serve("/restarted", away))
        ended = (await running.wait_terminal([request_id]))[request_id]
        assert ended.state == pb.STATE_COMPLETED
        page = await consumer.scrape()
        assert page.value("consumer_given_back_messages_total", reason="origin_error") == 1
        assert images.hits["/restarted"] == 3
        await stores.prove_each_ended_once([request_id])


async def test_the_time_that_a_request_is_pending_outlasts_its_giving_back(
    embedded_aws: RecordingAws,
) -> None:
    """The message is young again, by the three seconds before it was given back for the second time."""
    consumer = MetricsPort()
    asked, answer = asyncio.Event(), asyncio.Event()
    async with origin() as images, system(embedded_aws) as running:

        async def twice_later(_request: web.Request) -> web.Response:
            if images.hits["/later"] <= 2:
                return web.Response(status=429, headers={"Retry-After": "3"})
            asked.set()
            await answer.wait()
            return web.Response(body=numbered_png(1))

        await running.start_server()
        await running.start_consumer(**consumer.settings)
        request_id = await running.submit(images.serve("/later", twice_later))
        await asked.wait()
        page = await consumer.scrape()
        pending = page.value("consumer_oldest_pending_age_seconds")
        sent = page.value("consumer_oldest_message_age_seconds")
        assert pending is not None
        assert sent is not None
        assert pending > sent + 2.5
        answer.set()
        await running.wait_terminal([request_id])
