"""kill -9 of a consumer between two steps of its work."""

import asyncio

from aiohttp import web

from harness.aws import RecordingAws
from harness.aws_proxy import Forward, ProxiedCall, aws_proxy
from harness.origin import origin
from harness.processes import Process
from harness.stores import stores_of
from harness.system import system

# Short, so that the messages of a killed consumer are received again soon.
VISIBILITY_S = "4"
IMAGES = 200


async def test_a_killed_consumer_loses_and_duplicates_nothing(
    embedded_aws: RecordingAws,
) -> None:
    """Another consumer receives its messages, and each request ends once."""
    half_served = asyncio.Event()
    async with (
        origin() as images,
        system(embedded_aws, VisibilityTimeoutSeconds=VISIBILITY_S) as running,
        stores_of(running) as stores,
    ):

        async def last_before_the_kill(_request: web.Request) -> web.Response:
            half_served.set()
            return web.Response(status=503)

        await running.start_server()
        middle = images.image_url(IMAGES // 2).removeprefix(images.base)
        images.serve(middle, last_before_the_kill)
        ids = await asyncio.gather(
            *(running.submit(images.image_url(number)) for number in range(IMAGES))
        )
        killed_consumer = await running.start_consumer()
        await half_served.wait()
        await running.kill(killed_consumer)
        images.forget(middle)
        await running.start_consumer()
        await running.wait_terminal(ids)
        await stores.prove_each_ended_once(ids)


async def test_a_kill_after_the_notification_sends_it_again_with_the_same_id(
    embedded_aws: RecordingAws,
) -> None:
    """The message is received again. Its request is COMPLETED, so only the notification is repeated."""
    async with (
        origin() as images,
        aws_proxy(embedded_aws.endpoint) as proxy,
        system(
            embedded_aws, endpoint=proxy.endpoint, VisibilityTimeoutSeconds=VISIBILITY_S
        ) as running,
        stores_of(running) as stores,
    ):
        consumers: list[Process] = []
        killed = asyncio.Event()

        async def kill_after_the_first_notification(
            call: ProxiedCall, forward: Forward
        ) -> web.Response:
            answer = await forward()
            if call.operation == "PublishBatch" and consumers:
                await running.kill(consumers.pop())
                killed.set()
            return answer

        await running.start_server()
        request_id = await running.submit(images.image_url(1))
        proxy.hook = kill_after_the_first_notification
        consumers.append(await running.start_consumer())
        await killed.wait()
        first = await stores.notifications([f"{request_id}:2"])
        await running.start_consumer()
        repeat = await stores.notifications([f"{request_id}:2"])
        assert [each.id for each in first + repeat] == [f"{request_id}:2"] * 2
        assert images.hits["/n/1"] == 1
