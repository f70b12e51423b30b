"""kill -9 of a consumer, at the worst moments."""

import asyncio
import signal

from aiohttp import web

from harness.aws import RecordingAws
from harness.aws_proxy import Forward, ProxiedCall, aws_proxy
from harness.origin import origin
from harness.processes import Process
from harness.stores import stores_of
from harness.system import System, system

# Short, so that what a dead consumer held comes back soon.
VISIBILITY_S = "4"
IMAGES = 200
NEIGHBOURS = 9


async def test_a_consumer_killed_in_the_middle_loses_and_doubles_nothing(
    embedded_aws: RecordingAws,
) -> None:
    """A new consumer takes over what the dead one held, and each request ends once."""
    half_way = asyncio.Event()
    async with (
        origin() as images,
        system(embedded_aws, VisibilityTimeoutSeconds=VISIBILITY_S) as running,
        stores_of(running) as stores,
    ):

        async def last_before_the_kill(_request: web.Request) -> web.Response:
            half_way.set()
            return web.Response(status=503)

        await running.start_server()
        middle = images.image_url(IMAGES // 2).removeprefix(images.base)
        images.serve(middle, last_before_the_kill)
        ids = await asyncio.gather(
            *(running.submit(images.image_url(number)) for number in range(IMAGES))
        )
        doomed = await running.start_consumer()
        await half_way.wait()
        await kill(running, doomed)
        images.forget(middle)
        await running.start_consumer()
        await running.wait_terminal(ids)
        await stores.prove_each_ended_once(ids)


async def test_a_message_that_kills_its_process_ends_crashed_and_its_neighbours_completed(
    embedded_aws: RecordingAws,
) -> None:
    """The poison runs alone until it is found guilty; the nine beside it lose nothing but time."""
    async with (
        origin() as images,
        system(embedded_aws, VisibilityTimeoutSeconds=VISIBILITY_S) as running,
        stores_of(running) as stores,
    ):
        victims: list[Process] = []
        died = asyncio.Event()

        async def poison(_request: web.Request) -> web.Response:
            """Fetching this kills whoever does so, as a decoder's fault would."""
            await kill(running, victims.pop())
            died.set()
            return web.Response(status=500)

        await running.start_server()
        neighbours = [await running.submit(images.image_url(n)) for n in range(NEIGHBOURS)]
        guilty = await running.submit(images.serve("/poison", poison))
        ended = asyncio.create_task(running.wait_terminal([guilty, *neighbours]))
        kills = 0
        while not ended.done():
            victims.append(await running.start_consumer())
            killed = asyncio.create_task(died.wait())
            await asyncio.wait({killed, ended}, return_when=asyncio.FIRST_COMPLETED)
            kills += died.is_set()
            died.clear()
            killed.cancel()
        states = await ended
        assert states[guilty].failure.code == 20, states[guilty]
        assert {states[each].state for each in neighbours} == {2}
        # Once beside the others, then as often alone as MAX_ISOLATED_RUNS says.
        assert kills == 3
        rows = {row["requestId"]["S"]: row for row in await stores.requests()}
        assert rows[guilty]["retryCount"]["N"] == "2"
        expected = {f"{request_id}:2" for request_id in (guilty, *neighbours)}
        told = {notification.id for notification in await stores.notifications(expected)}
        assert told == expected


async def test_a_kill_between_complete_and_notify_still_tells_the_customer(
    embedded_aws: RecordingAws,
) -> None:
    """The redelivered message finds its request ended, and tells it under the same id."""
    async with (
        origin() as images,
        aws_proxy(embedded_aws.endpoint) as proxy,
        system(
            embedded_aws, endpoint=proxy.endpoint, VisibilityTimeoutSeconds=VISIBILITY_S
        ) as running,
        stores_of(running) as stores,
    ):
        victims: list[Process] = []
        killed = asyncio.Event()

        async def kill_after_the_first_notification(
            call: ProxiedCall, forward: Forward
        ) -> web.Response:
            answer = await forward()
            if call.operation == "PublishBatch" and victims:
                await kill(running, victims.pop())
                killed.set()
            return answer

        await running.start_server()
        request_id = await running.submit(images.image_url(1))
        proxy.hook = kill_after_the_first_notification
        victims.append(await running.start_consumer())
        await killed.wait()
        first = await stores.notifications([f"{request_id}:2"])
        await running.start_consumer()
        repeat = await stores.notifications([f"{request_id}:2"])
        assert [told.id for told in first + repeat] == [f"{request_id}:2"] * 2
        assert images.hits["/n/1"] == 1


async def kill(running: System, process: Process) -> None:
    process.send_signal(signal.SIGKILL)
    await process.wait()
    running.processes.remove(process)
