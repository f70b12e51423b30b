"""kill -9 of a consumer between two steps of its work."""

import asyncio
import signal

from aiohttp import web

from harness.aws import RecordingAws
from harness.aws_proxy import Forward, ProxiedCall, aws_proxy
from harness.origin import origin
from harness.processes import Process
from harness.stores import stores_of
from harness.system import System, system
from imageservice.v1 import image_service_pb2 as pb

# Short, so that the messages of a killed consumer are received again soon.
VISIBILITY_S = "4"
IMAGES = 200
OTHERS = 9


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
        await kill(running, killed_consumer)
        images.forget(middle)
        await running.start_consumer()
        await running.wait_terminal(ids)
        await stores.prove_each_ended_once(ids)


async def test_a_poison_message_fails_crashed_and_the_others_complete(
    embedded_aws: RecordingAws,
) -> None:
    """The poison message is isolated until its runs are used up. The nine messages beside it are only delayed."""
    async with (
        origin() as images,
        system(embedded_aws, VisibilityTimeoutSeconds=VISIBILITY_S) as running,
        stores_of(running) as stores,
    ):
        consumers: list[Process] = []
        died = asyncio.Event()

        async def poison(_request: web.Request) -> web.Response:
            """Kill the process that fetches this, as an error in a decoder would."""
            await kill(running, consumers.pop())
            died.set()
            return web.Response(status=500)

        await running.start_server()
        others = [await running.submit(images.image_url(n)) for n in range(OTHERS)]
        poisonous = await running.submit(images.serve("/poison", poison))
        ended = asyncio.create_task(running.wait_terminal([poisonous, *others]))
        kills = 0
        while not ended.done():
            consumers.append(await running.start_consumer())
            killed = asyncio.create_task(died.wait())
            await asyncio.wait({killed, ended}, return_when=asyncio.FIRST_COMPLETED)
            kills += died.is_set()
            died.clear()
            killed.cancel()
        states = await ended
        assert states[poisonous].failure.code == pb.FAILURE_CODE_CRASHED, states[poisonous]
        assert {states[each].state for each in others} == {pb.STATE_COMPLETED}
        # Once beside the others, then MAX_ISOLATED_RUNS times alone.
        assert kills == 3
        rows = {row["requestId"]["S"]: row for row in await stores.requests()}
        assert rows[poisonous]["retryCount"]["N"] == "2"
        expected = {f"{request_id}:2" for request_id in (poisonous, *others)}
        notified = {notification.id for notification in await stores.notifications(expected)}
        assert notified == expected


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
                await kill(running, consumers.pop())
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


async def kill(running: System, process: Process) -> None:
    process.send_signal(signal.SIGKILL)
    await process.wait()
    running.processes.remove(process)
